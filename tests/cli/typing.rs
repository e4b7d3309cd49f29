//! Somebody at a terminal, who reads what is asked and types.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
};

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

pub struct Typist {
    terminal: File,
    child: Child,
    /// All that the terminal has shown.
    shown: String,
    /// How much of it has been read.
    read: usize,
}

impl Typist {
    pub fn at(command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = || open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        // Else this process would hold the terminal open, and the end would never come.
        let null = || std::process::Stdio::null();
        command.stdin(null()).stdout(null()).stderr(null());
        Self { terminal: File::from(master), child, shown: String::new(), read: 0 }
    }

    /// Waits for these words, and types an answer that everybody may see.
    #[track_caller]
    pub fn answer(&mut self, words: &str, answer: &str) {
        self.wait_for(words);
        writeln!(self.terminal, "{answer}").unwrap();
    }

    /// Waits for these words, and types a secret once nobody can see it any more.
    #[track_caller]
    pub fn answer_unseen(&mut self, words: &str, secret: &str) {
        self.wait_for(words);
        while tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO) {
            std::thread::yield_now();
        }
        writeln!(self.terminal, "{secret}").unwrap();
    }

    #[track_caller]
    pub fn wait_for(&mut self, words: &str) {
        loop {
            if let Some(at) = self.shown[self.read..].find(words) {
                self.read += at + words.len();
                return;
            }
            assert!(self.more(), "{words:?} did not come: {}", self.shown);
        }
    }

    /// Reads to the end; gives all that was shown, and the exit code.
    pub fn end(mut self) -> (String, Option<i32>) {
        while self.more() {}
        (self.shown.replace('\r', ""), self.child.wait().unwrap().code())
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // Linux ends a terminal that nobody holds any more with an error.
        match self.terminal.read(&mut bytes) {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.shown.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
                true
            }
        }
    }
}
