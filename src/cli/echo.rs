//! A terminal that does not show what is typed.

/// Standard input's terminal, if it is one, with its echo off until this is dropped. Lines are still read
/// as lines, and Ctrl-C is still a signal.
pub struct EchoOff {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl EchoOff {
    /// Turns it off. Where that cannot be done there is nothing to turn off.
    pub fn on_stdin() -> Self {
        use rustix::termios::LocalModes;

        let before = rustix::termios::tcgetattr(std::io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
            set(&modes);
        }
        Self { before }
    }
}

#[cfg(unix)]
impl Drop for EchoOff {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

/// At once: what was typed before is not lost. A terminal that is gone cannot be told.
#[cfg(unix)]
fn set(modes: &rustix::termios::Termios) {
    let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, modes);
}

#[cfg(not(unix))]
impl EchoOff {
    /// Leaves it as it is.
    pub fn on_stdin() -> Self {
        Self {}
    }
}
