use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    faults::{Faults, Moment},
    usb_port::UsbPort,
};

/// Bytes of a USB packet at full speed.
const PACKET: usize = 64;

/// The board's USB serial stream.
///
/// What has arrived and was not taken yet waits here (a packet at most) and in the pty. The board's
/// receive ring of 256 bytes makes no difference that could be seen: when it is full the host holds the
/// rest back, as the pty does, and when it is emptied the rest moves up.
pub(super) struct UsbSerial {
    port: Arc<UsbPort>,
    received: VecDeque<u8>,
    latency: Duration,
    faults: Faults,
    // What somebody typed before anyone else came, a step a prompt; the answers went to them.
    typed_before: VecDeque<VecDeque<u8>>,
    others_read: bool,
}

impl UsbSerial {
    pub(super) fn new(
        port: Arc<UsbPort>,
        latency: Duration,
        faults: Faults,
        typed_before: Vec<Vec<u8>>,
    ) -> Self {
        let typed_before: VecDeque<_> = typed_before.into_iter().map(VecDeque::from).collect();
        let others_read = !typed_before.is_empty();
        Self { port, received: VecDeque::new(), latency, faults, typed_before, others_read }
    }

    /// What was in the board's memory is gone.
    pub(super) fn restart(&mut self) {
        self.received.clear();
        self.typed_before.clear();
        self.others_read = false;
        self.faults.code_line(false);
    }

    /// A line at the claim-code prompt begins, or is over.
    pub(super) fn code_line(&mut self, inside: bool) {
        self.faults.code_line(inside);
    }

    /// Waits for a byte without taking it, and shows it. May be dropped while it waits: nothing is lost.
    pub(super) async fn peek(&mut self) -> u8 {
        loop {
            self.skip_read_prompts();
            let typed = self.typed_before.front().and_then(VecDeque::front);
            if let Some(&byte) = typed.or(self.received.front()) {
                return byte;
            }
            let pty = self.port.connected().await;
            let mut packet = [0; PACKET];
            match pty.read(&mut packet).await {
                Ok(count) => self.received.extend(&packet[..count]),
                Err(error) => {
                    tracing::error!(%error, "the simulated Photon cannot read its port");
                    self.port.disconnect();
                }
            }
        }
    }

    /// The next byte, however long it takes.
    pub(super) async fn read(&mut self) -> u8 {
        loop {
            let byte = self.peek().await;
            if let Some(typed) = self.typed_before.front_mut() {
                typed.pop_front();
                return byte;
            }
            self.received.pop_front();
            let reception = self.faults.on_received();
            let wait = self.latency + reception.delay;
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            if let Some(time) = reception.hang_up {
                self.port.hang_up(time);
            }
            match reception.copies {
                0 => continue,
                1 => {}
                _ => self.received.push_front(byte),
            }
            return byte;
        }
    }

    /// Throws away everything that has been received by now, without waiting.
    pub(super) fn discard_received(&mut self) {
        if self.others_read {
            return; // Their line was followed by nothing; what is in the port is somebody else's.
        }
        self.received.clear();
        // A client that never stops writing must not keep the board here for good.
        const MOST_PACKETS: usize = 4096;
        let Some(pty) = self.port.pty() else { return };
        for _ in 0..MOST_PACKETS {
            if !matches!(pty.try_read(&mut [0; PACKET]), Ok(count) if count > 0) {
                return;
            }
        }
    }

    /// Prints bytes; lost when the port is not there or somebody before us read them.
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        if self.others_read {
            return;
        }
        let mut arriving = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            arriving.extend(std::iter::repeat_n(byte, self.faults.on_sent()));
        }
        if let Some(pty) = self.port.pty()
            && let Err(error) = pty.write(&arriving).await
        {
            tracing::error!(%error, "the simulated Photon cannot write to its port");
        }
    }

    /// Prints what user firmware has to say at this moment, if anything.
    pub(super) async fn mix_in(&mut self, moment: Moment, code: Option<&[u8]>) {
        if self.others_read {
            return;
        }
        let noise = self.faults.on_moment(moment, code);
        if let Some(pty) = self.port.pty()
            && !noise.is_empty()
        {
            let _ = pty.write(&noise).await;
        }
    }

    /// Those before us went away while the board was busy: what it prints from now on is for us.
    pub(super) fn others_leave_here(&mut self) {
        if self.typed_before.iter().all(VecDeque::is_empty) && self.typed_before.len() < 2 {
            self.others_read = false;
        }
    }

    fn skip_read_prompts(&mut self) {
        while self.typed_before.front().is_some_and(VecDeque::is_empty) {
            self.typed_before.pop_front();
        }
        if self.typed_before.is_empty() {
            self.others_read = false;
        }
    }
}
