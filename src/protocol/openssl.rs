//! OpenSSL's command line, as a second opinion in tests. Without it those tests fail.

use std::{
    io::Write,
    process::{Command, Stdio},
};

/// Runs `openssl` with these arguments and this input; gives its output.
pub fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tests need the openssl command");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The same, of text.
pub fn openssl_text(arguments: &[&str], input: &str) -> String {
    String::from_utf8(openssl(arguments, input.as_bytes())).unwrap()
}
