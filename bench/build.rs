//! Compiles Leat's signal protocol, which the load generator speaks as any client does.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../signaling/proto/signal.proto");
    let descriptors = protox::compile(["../signaling/proto/signal.proto"], ["../signaling/proto"])?;
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;
    Ok(())
}
