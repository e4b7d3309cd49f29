//! The rules of a line within a dialogue.

use crate::wire::{CODE, SORRY, photon, start};

const PROMPT: &str = "Enter 63-digit claim code: ";

#[tokio::test]
async fn what_comes_with_the_line_end_is_thrown_away() {
    let (photon, mut wire) = start(photon());
    wire.ask("C", PROMPT).await;
    wire.ask(format!("{CODE}\niiiC"), format!("{CODE}\r\nClaim code set to: {CODE}\r\n")).await;
    wire.ask("v", "system firmware version: 2.3.1\n\r\n").await;
    assert_eq!(photon.state().claim_code.unwrap().0, CODE.as_bytes());
}

#[tokio::test]
async fn everything_that_was_received_by_then_is_thrown_away_however_much() {
    let (_photon, mut wire) = start(photon());
    wire.ask("C", PROMPT).await;
    wire.ask(format!("\n{}", "i".repeat(1000)), SORRY).await;
    wire.ask("v", "system firmware version: 2.3.1\n\r\n").await;
}

#[tokio::test]
async fn both_takers_back_take_one_byte_and_are_echoed_only_when_there_is_one() {
    let (_photon, mut wire) = start(photon());
    wire.ask("C", PROMPT).await;
    wire.ask("\x08\x7fab\x7f\x08\x08\x7fc\n", format!("ab\x7f\x08c{SORRY}")).await;
    wire.is_idle().await;
}

#[tokio::test]
async fn escape_and_ctrl_c_are_ordinary_characters_and_nul_cuts() {
    let (photon, mut wire) = start(photon());
    wire.ask("C", PROMPT).await;
    let odd = format!("\x1b\x03{}", &CODE[..61]);
    wire.ask(format!("{odd}\r"), format!("{odd}\r\nClaim code set to: {odd}\r\n")).await;
    wire.ask("C", PROMPT).await;
    let cut = format!("{}\0{}", &CODE[..31], &CODE[..31]);
    wire.ask(format!("{cut}\r"), format!("{cut}{SORRY}")).await;
    assert_eq!(photon.effects().len(), 1);
}

#[tokio::test]
async fn a_full_line_ends_with_the_next_byte_even_a_backspace() {
    let (_photon, mut wire) = start(photon());
    wire.ask("C", PROMPT).await;
    wire.ask(CODE, CODE).await;
    wire.ask("\x08", format!("\r\nClaim code set to: {CODE}\r\n")).await;
    wire.is_idle().await;
}

#[tokio::test]
async fn a_newline_that_comes_late_answers_the_next_prompt() {
    let (_photon, mut wire) = start(photon());
    wire.ask("w", "SSID: ").await;
    wire.ask(
        "nowhere\r",
        "nowhere\r\nSecurity 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 \
                           Enterprise: ",
    )
    .await;
    wire.ask("\n", "\r\nSecurity 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: ")
        .await;
}
