//! Compiles `after_cookie.cc` against the headers that BoringSSL itself was built from.

#![forbid(unsafe_code)]

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src/after_cookie.cc");
    println!("cargo:rerun-if-env-changed=BORING_BSSL_SOURCE_PATH");
    let sources = sources();
    assert!(
        sources.join("ssl/internal.h").exists(),
        "{} does not contain the sources of BoringSSL",
        sources.display()
    );
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .flag("-fno-exceptions")
        .flag("-fno-rtti")
        .define("NDEBUG", None)
        .include(sources.join("include"))
        .include(&sources)
        .file("src/after_cookie.cc")
        .compile("leat_ssl_after_cookie");
}

/// The build script of `boring-sys` reports the folder with its patched copy of the sources. With a prebuilt
/// library (`BORING_BSSL_PATH`), `BORING_BSSL_SOURCE_PATH` has the sources.
fn sources() -> PathBuf {
    let built = env::var_os("DEP_BORINGSSL_ROOT").map(|root| PathBuf::from(root).join("boringssl"));
    let given = || env::var_os("BORING_BSSL_SOURCE_PATH").map(PathBuf::from);
    built
        .or_else(given)
        .expect("boring-sys builds BoringSSL, or BORING_BSSL_SOURCE_PATH has the sources of the prebuilt one")
}
