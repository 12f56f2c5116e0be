//! Compiles the signal protocol without a system `protoc`, lists its fields for `src/protocol/bounds.rs`, and says whether a built web app is there
//! to embed.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/signal.proto");
    let descriptors = protox::compile(["proto/signal.proto"], ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("fields.rs");
    std::fs::write(out, fields(&descriptors))?;
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;

    // Cargo reruns this script when the path appears, changes or goes away.
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rustc-check-cfg=cfg(web_app)");
    if Path::new("web/dist/index.html").is_file() {
        println!("cargo:rustc-cfg=web_app");
    }
    Ok(())
}

/// A table of `bounds::Message`s, the first of which is `Signal`: the fields that hold messages or are repeated.
fn fields(descriptors: &FileDescriptorSet) -> String {
    let mut messages = Vec::new();
    for file in &descriptors.file {
        for message in &file.message_type {
            collect(&format!(".{}", file.package()), message, &mut messages);
        }
    }
    messages.sort_by_key(|(name, _)| (!name.ends_with(".Signal"), name.clone()));
    let index: BTreeMap<&str, usize> =
        messages.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
    let mut table = String::from("&[\n");
    for (name, message) in &messages {
        let field = |field: &FieldDescriptorProto| {
            let inner = (field.r#type() == Type::Message).then(|| index[field.type_name()]);
            let is_repeated = field.label() == Label::Repeated;
            (inner.is_some() || is_repeated).then(|| {
                format!(
                    "Field {{ number: {}, message: {inner:?}, is_repeated: {is_repeated} }}",
                    field.number()
                )
            })
        };
        let fields: Vec<_> = message.field.iter().filter_map(field).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(table, "    // {name}\n    &[{}],", fields.join(", "));
    }
    table + "]"
}

fn collect<'a>(
    prefix: &str,
    message: &'a DescriptorProto,
    messages: &mut Vec<(String, &'a DescriptorProto)>,
) {
    let name = format!("{prefix}.{}", message.name());
    message.nested_type.iter().for_each(|inner| collect(&name, inner, messages));
    messages.push((name, message));
}
