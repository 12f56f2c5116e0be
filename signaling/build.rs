//! Compiles the signal protocol without a system `protoc`, and says whether a built web app is there to embed.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/signal.proto");
    let descriptors = protox::compile(["proto/signal.proto"], ["proto"])?;
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;

    // Cargo reruns this script when the path appears, changes or goes away.
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rustc-check-cfg=cfg(web_app)");
    if Path::new("web/dist/index.html").is_file() {
        println!("cargo:rustc-cfg=web_app");
    }
    Ok(())
}
