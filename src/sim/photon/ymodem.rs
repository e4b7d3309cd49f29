use std::time::Duration;

use super::serial::UsbSerial;

const SOH: u8 = 0x01;
const STX: u8 = 0x02;
const EOT: u8 = 0x04;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const CANCEL: u8 = 0x18;
const SEND_CRC: u8 = b'C';

/// `YModem::NAK_TIMEOUT` and `MAX_ERRORS` of `system_ymodem.h`.
const SILENCE: Duration = Duration::from_secs(5);
const MOST_ERRORS: u32 = 5;

/// Waits for a file, as `system_ymodem.cpp` does. No file is ever taken: the simulated board has no
/// room for one, and says so as the real one would.
pub(super) async fn receive_file(serial: &mut UsbSerial) {
    let end = session(serial).await;
    serial.write(farewell(end)).await;
}

enum End {
    ByUser,
    NoFile,
    NoRoom,
}

fn farewell(end: End) -> &'static [u8] {
    match end {
        End::ByUser => b"\x18\x18\x18\x18Aborted by user.\r\n",
        End::NoFile => b"\x18\x18Failed to receive the file!\r\n",
        End::NoRoom => b"\x18\x18\x18\x18The file size is higher than the allowed space memory!\r\n",
    }
}

async fn session(serial: &mut UsbSerial) -> End {
    let mut errors = 0;
    loop {
        match receive_packet(serial).await {
            Packet::Abort => return End::ByUser,
            Packet::Cancelled => {
                serial.write(&[ACK]).await;
                return End::NoFile;
            }
            Packet::Blank | Packet::EndOfFile => {
                errors = 0;
                serial.write(&[ACK]).await;
            }
            Packet::OutOfOrder => {
                errors = 0;
                serial.write(&[NAK]).await;
            }
            Packet::FileName => return End::NoRoom,
            Packet::NoMoreFiles => return End::NoFile,
            Packet::Bad => {
                errors += 1;
                serial.write(&[SEND_CRC]).await;
                if errors > MOST_ERRORS {
                    serial.write(&[CANCEL, CANCEL]).await;
                    return End::NoFile;
                }
            }
        }
    }
}

enum Packet {
    FileName,
    NoMoreFiles,
    OutOfOrder,
    EndOfFile,
    Cancelled,
    Abort,
    Blank,
    Bad,
}

async fn receive_packet(serial: &mut UsbSerial) -> Packet {
    let size = match byte(serial).await {
        Some(SOH) => 128,
        Some(STX) => 1024,
        Some(EOT) => return Packet::EndOfFile,
        Some(CANCEL) if byte(serial).await == Some(CANCEL) => return Packet::Cancelled,
        Some(b'A' | b'a') => return Packet::Abort,
        Some(b' ') => return Packet::Blank,
        _ => return Packet::Bad,
    };
    let (Some(number), Some(complement)) = (byte(serial).await, byte(serial).await) else {
        return Packet::Bad;
    };
    let mut first = None;
    for _ in 0..size + 2 {
        let Some(byte) = byte(serial).await else { return Packet::Bad };
        first.get_or_insert(byte);
    }
    match (number, first) {
        _ if number != !complement => Packet::Bad,
        (0, Some(0)) => Packet::NoMoreFiles,
        (0, _) => Packet::FileName,
        _ => Packet::OutOfOrder,
    }
}

async fn byte(serial: &mut UsbSerial) -> Option<u8> {
    tokio::time::timeout(SILENCE, serial.read()).await.ok()
}
