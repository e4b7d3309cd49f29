use std::time::Duration;

use crate::model::Platform;

use super::{ListenEnd, Mode, board::Ending, faults::Moment, serial::UsbSerial, state::Device, ymodem};

const CLAIM_CODE_LENGTH: usize = 63;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// The console of listening mode (`system_setup.cpp`).
pub(super) struct Console<'a> {
    pub(super) serial: &'a mut UsbSerial,
    pub(super) device: &'a Device,
    pub(super) scan_delay: Duration,
}

impl Console<'_> {
    /// Answers until listening mode ends, or the board does.
    pub(super) async fn listen(&mut self) -> Option<Ending> {
        loop {
            let byte = tokio::select! {
                biased;
                // Another wire, or `x`, has ended it: what is queued stays for the next listening.
                () = self.device.leaves(Mode::Listening) => return None,
                byte = self.serial.peek() => byte,
            };
            // A transfer finds its first byte still there (`handle_peek`); a command takes it.
            if matches!(byte, 1 | 2) && self.device.quirks.transfer_by_first_byte {
                ymodem::receive_file(self.serial).await;
                continue;
            }
            let command = self.serial.read().await;
            if let Some(ending) = self.obey(command).await {
                return Some(ending);
            }
        }
    }

    async fn obey(&mut self, command: u8) -> Option<Ending> {
        let quirks = self.device.quirks;
        match command {
            b'i' => self.tell_id().await,
            b'v' => {
                let version = format!("system firmware version: {}\n\r\n", self.device.firmware);
                self.reply(&version).await;
            }
            b'm' => {
                let mac = self.device.mac.map(|byte| format!("{byte:02x}")).join(":");
                self.reply(&format!("Your device MAC address is\r\n{mac}\r\n")).await;
            }
            b's' => self.reply_at_once(&modules(self.device.platform)).await,
            b'c' if quirks.claim_commands => {
                let claimed = if self.device.state().claimed { "yes" } else { "no" };
                self.reply(&format!("Device claimed: {claimed}\r\n")).await;
            }
            b'C' if quirks.claim_commands => self.claim_code_dialogue().await,
            b'd' if quirks.diagnostics => self.reply_at_once(DIAGNOSTICS).await,
            b'w' => self.wifi_dialogue().await,
            b'x' => self.device.stop_listening(ListenEnd::Exit),
            b'f' => {
                self.reply_at_once("Waiting for the binary file to be sent ... (press 'a' to abort)\r\n")
                    .await;
                ymodem::receive_file(self.serial).await;
            }
            b'L' if quirks.safe_mode_command => return Some(Ending::Restart { listening: true }),
            _ => {}
        }
        None
    }

    async fn tell_id(&mut self) {
        let id = &self.device.id;
        let answer = match &self.device.serial_number {
            Some(number) if self.device.quirks.tells_serial_number => {
                format!("Device ID: {id}\r\nSerial Number: {number}\r\n")
            }
            _ => format!("Your device id is {id}\r\n"),
        };
        self.reply(&answer).await;
    }

    async fn claim_code_dialogue(&mut self) {
        self.prompt("Enter 63-digit claim code: ").await;
        self.serial.code_line(true);
        let code = self.read_line(CLAIM_CODE_LENGTH).await;
        self.serial.code_line(false);
        self.serial.mix_in(Moment::BeforeReply, Some(&code)).await;
        if code.len() == CLAIM_CODE_LENGTH {
            self.device.write_flash().await;
            self.device.set_claim_code(&code, None);
            self.print(b"Claim code set to: ").await;
            self.print(&code).await;
        } else {
            self.print(b"Sorry, claim code is not 63 characters long. Claim code unchanged.").await;
        }
        self.print(b"\r\n").await;
        self.serial.mix_in(Moment::AfterReply, None).await;
    }

    /// The answer to a prompt that asks again until it gets one of a menu: its place in the menu.
    pub(super) async fn choose(&mut self, prompt: &str, first: u8, last: u8) -> u8 {
        loop {
            let answer = self.ask(prompt, 1).await;
            if let [digit] = answer[..]
                && (first..=last).contains(&digit)
            {
                return digit - first;
            }
        }
    }

    /// The answer to a prompt, of so many bytes at most.
    pub(super) async fn ask(&mut self, prompt: &str, most: usize) -> Vec<u8> {
        self.prompt(prompt).await;
        self.read_line(most).await
    }

    /// A line, and after its line end everything that has come by then thrown away
    /// (`SystemSetupConsole::read_line`).
    async fn read_line(&mut self, most: usize) -> Vec<u8> {
        let line = self.take_line(most).await;
        self.print(b"\r\n").await;
        self.serial.discard_received();
        line
    }

    /// A block of lines up to an empty one, joined by CRLF. Nothing is thrown away, unless the block
    /// grows too long: then it ends where it stands (`SystemSetupConsole::read_multiline`). The real
    /// board does not check the length of a line in it and writes beyond its memory; here such a line
    /// ends like any other.
    pub(super) async fn ask_for_block(&mut self, prompt: &str, most: usize) -> Vec<u8> {
        self.prompt(prompt).await;
        let mut block = Vec::new();
        let mut left = most;
        while left > 3 {
            let line = self.take_line(left).await;
            self.print(b"\r\n").await;
            if line.is_empty() {
                return block;
            }
            left -= line.len();
            block.extend(line);
            if left > 3 {
                block.extend(b"\r\n");
            }
        }
        self.serial.discard_received();
        block
    }

    /// Each byte echoed as it is taken; a NUL cuts (`serialReadLine` of `spark_wiring_stream.cpp`).
    async fn take_line(&mut self, most: usize) -> Vec<u8> {
        let mut line = Vec::new();
        loop {
            let byte = self.serial.read().await;
            if line.len() == most || matches!(byte, b'\r' | b'\n') {
                break;
            }
            if !matches!(byte, BACKSPACE | DELETE) {
                line.push(byte);
            } else if line.pop().is_none() {
                continue;
            }
            self.serial.write(&[byte]).await;
        }
        if let Some(end) = line.iter().position(|&byte| byte == 0) {
            line.truncate(end);
        }
        line
    }

    async fn prompt(&mut self, text: &str) {
        self.serial.mix_in(Moment::BeforePrompt, None).await;
        self.print(text.as_bytes()).await;
        self.serial.mix_in(Moment::AfterPrompt, None).await;
    }

    pub(super) async fn reply(&mut self, text: &str) {
        self.serial.mix_in(Moment::BeforeReply, None).await;
        self.print(text.as_bytes()).await;
        self.serial.mix_in(Moment::AfterReply, None).await;
    }

    async fn reply_at_once(&mut self, text: &str) {
        self.serial.mix_in(Moment::BeforeReply, None).await;
        self.serial.write(text.as_bytes()).await;
        self.serial.mix_in(Moment::AfterReply, None).await;
    }

    async fn print(&mut self, text: &[u8]) {
        if !self.device.quirks.prints_slowly {
            return self.serial.write(text).await;
        }
        for &byte in text {
            self.serial.write(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The installed modules, a line of JSON in the form of `system_info.cpp`. Sizes and kinds are a
/// Photon's; the modules' own versions and the user part are a sample.
fn modules(platform: Platform) -> String {
    let system = r#""s":262144,"l":"m","vc":30,"vv":30,"f":"s""#;
    let user = "C83F75A5AFE0F70E4F14BB4F0D4F1C9AB0CE8F7C59A5F4E6E7AC1B9E2D6B0A13";
    let modules = [
        r#"{"s":16384,"l":"m","vc":30,"vv":30,"f":"b","n":"0","v":1005,"d":[]}"#.to_owned(),
        format!(r#"{{{system},"n":"1","v":2302,"d":[{{"f":"s","n":"2","v":207,"_":""}}]}}"#),
        format!(
            r#"{{{system},"n":"2","v":2302,"d":[{{"f":"s","n":"1","v":2302,"_":""}},{{"f":"b","n":"0","v":1005,"_":""}}]}}"#
        ),
        format!(
            r#"{{"s":131072,"l":"m","vc":30,"vv":30,"u":"{user}","f":"u","n":"1","v":6,"d":[{{"f":"s","n":"2","v":2302,"_":""}}]}}"#
        ),
        r#"{"s":131072,"l":"f","vc":30,"vv":0,"d":[]}"#.to_owned(),
    ];
    format!(r#"{{"p":{},"m":[{}]}}"#, platform.id(), modules.join(",")) + "\r\n"
}

/// A line of JSON with the names of `system_info.cpp`'s diagnostics; the values are a sample.
const DIAGNOSTICS: &str = concat!(
    r#"{"net:stat":1,"net:rssi":0,"cloud:stat":0,"sys:uptime":42,"mem:tot":81440,"mem:used":22000}"#,
    "\r\n"
);
