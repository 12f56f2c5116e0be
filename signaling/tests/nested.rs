//! `Signal` with `Offer` nested in it, as in the requirements, has the same bytes as ours.

use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::path::Path;

fn file(folder: &str, name: &str) -> FileDescriptorSet {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    protox::compile([folder.join(name)], [&folder]).expect("a valid file")
}

fn message<'a>(messages: &'a [DescriptorProto], name: &str) -> &'a DescriptorProto {
    messages.iter().find(|message| message.name() == name).expect(name)
}

/// What decides the bytes of a field.
fn form(field: &FieldDescriptorProto) -> (i32, i32, i32) {
    (field.number(), field.r#type().into(), field.label().into())
}

#[test]
fn nested_offer_has_the_same_bytes() {
    let (nested, ours) = (file("../tests/vectors", "nested_signal.proto"), file("proto", "signal.proto"));
    let (nested, ours) = (&nested.file[0].message_type, &ours.file[0].message_type);
    let nested_signal = message(nested, "Signal");
    let pairs = [
        (nested_signal, message(ours, "Signal")),
        (message(&nested_signal.nested_type, "Offer"), message(ours, "Offer")),
    ];
    for (nested, ours) in pairs {
        assert!(nested.field.len() > 1);
        for field in &nested.field {
            let same = ours.field.iter().find(|our| our.name() == field.name()).map(form);
            assert_eq!(same, Some(form(field)), "{}.{}", nested.name(), field.name());
        }
    }
}
