//! The `provision` command.

fn main() {
    std::process::exit(provision::cli::main().into());
}
