//! The `corelane` binary: arguments → subcommand → exit code.
fn main() {
    println!("{}", glommio::executor as usize);
}
