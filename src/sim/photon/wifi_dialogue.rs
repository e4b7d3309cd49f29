use super::{
    Cipher, ListenEnd, Security,
    console::Console,
    credentials::{CIPHER_REQUIRED, Credentials, EAP_PEAP, EAP_TLS, SAVED},
    network::seen,
    pem,
};

const SECURITY: &str = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2, 4=WPA Enterprise, 5=WPA2 Enterprise: ";
const SECURITY_BEFORE_0_7: &str = "Security 0=unsecured, 1=WEP, 2=WPA, 3=WPA2: ";
const CIPHER: &str = "Security Cipher 1=AES, 2=TKIP, 3=AES+TKIP: ";
const PASSWORD: &str = "Password: ";
const DERP: &str = "Derp. Sorry, we couldn't save the credentials.\r\n\r\n";

const SSID_LENGTH: usize = 32;
const PASSWORD_LENGTH: usize = 64;
const IDENTITY_LENGTH: usize = 64;
/// `CERTIFICATE_SIZE` and `PRIVATE_KEY_SIZE` of `system_setup.cpp`, less the NUL.
const CERTIFICATE_LENGTH: usize = 4095;
const PRIVATE_KEY_LENGTH: usize = 2047;

/// Stands for the pass phrase until it is asked for, so that the network does not count as open. An
/// empty answer leaves it there, from 0.7.0 on.
const PLACEHOLDER: &[u8] = b"1";

impl Console<'_> {
    /// `w` (`WiFiSetupConsole::handle`). Listening mode ends when anything was found good on the way:
    /// the rehearsal that only asks whether a cipher is needed counts as well as the saving, so some
    /// refusals end it too (`WLAN_SERIAL_CONFIG_DONE` of `system_network_wifi.h`).
    pub(super) async fn wifi_dialogue(&mut self) {
        let done = if self.device.quirks.modern_wifi {
            self.wifi_dialogue_from_0_7().await
        } else {
            self.wifi_dialogue_before_0_7().await
        };
        if done {
            self.device.stop_listening(ListenEnd::Credentials);
        }
    }

    async fn wifi_dialogue_from_0_7(&mut self) -> bool {
        let mut ssid = Vec::new();
        while ssid.is_empty() {
            ssid = self.ask("SSID: ", SSID_LENGTH).await;
        }
        self.scan().await;
        let (security, cipher) = match seen(&self.device.networks, &ssid) {
            Some(network) => (network.security, network.cipher),
            None => (Security::MENU[usize::from(self.choose(SECURITY, b'0', b'5').await)], None),
        };
        let mut credentials = Credentials::new(ssid, security, cipher);
        if security != Security::Open {
            credentials.password = PLACEHOLDER.to_vec();
        }
        if credentials.need_a_scan() {
            self.scan().await;
        }
        let rehearsal = credentials.check(&self.device.networks);
        if rehearsal == CIPHER_REQUIRED || cipher.is_none() {
            credentials.cipher = Some(self.choose_cipher().await);
        }
        match security {
            Security::Open => {}
            Security::Wep | Security::Wpa | Security::Wpa2 => self.ask_password(&mut credentials).await,
            Security::WpaEnt | Security::Wpa2Ent => self.ask_enterprise(&mut credentials).await,
        }
        let result = credentials.check(&self.device.networks);
        self.conclude(&credentials, result).await;
        rehearsal == SAVED || result == SAVED
    }

    async fn wifi_dialogue_before_0_7(&mut self) -> bool {
        let ssid = self.ask("SSID: ", SSID_LENGTH).await;
        let choice = self.choose(SECURITY_BEFORE_0_7, b'0', b'3').await;
        let security = Security::MENU[usize::from(choice)];
        let mut credentials = Credentials::new(ssid, security, None);
        if security != Security::Open {
            credentials.password = PLACEHOLDER.to_vec();
        }
        if credentials.need_a_scan() {
            self.scan().await;
        }
        let rehearsal = credentials.check_as_before_0_7(&self.device.networks);
        if rehearsal == CIPHER_REQUIRED {
            credentials.cipher = Some(self.choose_cipher().await);
        }
        if security != Security::Open {
            credentials.password = self.ask(PASSWORD, PASSWORD_LENGTH).await;
        }
        let result = credentials.check_as_before_0_7(&self.device.networks);
        self.conclude(&credentials, result).await;
        rehearsal == SAVED || result == SAVED
    }

    async fn choose_cipher(&mut self) -> Cipher {
        Cipher::MENU[usize::from(self.choose(CIPHER, b'1', b'3').await)]
    }

    /// An empty answer sets nothing: the placeholder stays.
    async fn ask_password(&mut self, credentials: &mut Credentials) {
        let password = self.ask(PASSWORD, PASSWORD_LENGTH).await;
        if !password.is_empty() {
            credentials.password = password;
        }
    }

    async fn ask_enterprise(&mut self, credentials: &mut Credentials) {
        if self.choose("EAP Type 0=PEAP/MSCHAPv2, 1=EAP-TLS: ", b'0', b'1').await == 1 {
            credentials.eap_type = EAP_TLS;
            let pem = self.ask_for_block("Client certificate in PEM format:\r\n", CERTIFICATE_LENGTH).await;
            credentials.client_certificate =
                fitting(&pem, CERTIFICATE_LENGTH).and_then(pem::certificates).unwrap_or_default();
            let pem = self.ask_for_block("Private key in PEM format:\r\n", PRIVATE_KEY_LENGTH).await;
            credentials.private_key =
                fitting(&pem, PRIVATE_KEY_LENGTH).and_then(pem::private_key).unwrap_or_default();
        } else {
            credentials.eap_type = EAP_PEAP;
            credentials.inner_identity = self.ask("Username: ", IDENTITY_LENGTH).await;
            self.ask_password(credentials).await;
        }
        credentials.outer_identity = self.ask("Outer identity (optional): ", IDENTITY_LENGTH).await;
        let pem = self.ask_for_block("Root CA in PEM format (optional):\r\n", CERTIFICATE_LENGTH).await;
        credentials.ca_certificate =
            fitting(&pem, CERTIFICATE_LENGTH).and_then(pem::certificates).unwrap_or_default();
    }

    async fn conclude(&mut self, credentials: &Credentials, result: i32) {
        self.print_thanks().await;
        self.device.conclude_credentials(credentials, result);
        if result != SAVED {
            return self.reply(DERP).await;
        }
        let blank = if self.device.quirks.farewell_has_blank { " " } else { "" };
        self.reply(&format!(
            "Awesome. Now we'll connect!\r\n\r\nIf you see a pulsing cyan light, your device{blank}\r\nhas \
             connected to the Cloud and is ready to go!\r\n\r\nIf your LED flashes red or you encounter any \
             other problems,\r\nvisit https://www.particle.io/support to debug.\r\n\r\n    Particle <3 \
             you!\r\n\r\n"
        ))
        .await;
    }

    async fn print_thanks(&mut self) {
        self.reply("Thanks! Wait while I save those credentials...\r\n\r\n").await;
    }

    /// The radio listens around. Nothing is read meanwhile, and nothing is thrown away.
    async fn scan(&mut self) {
        self.serial.others_leave_here();
        self.device.change(|state| state.scanning = true);
        tokio::time::sleep(self.scan_delay).await;
        self.device.change(|state| state.scanning = false);
    }
}

/// A block that was cut, or whose line ends made it too long, is not understood.
fn fitting(block: &[u8], most: usize) -> Option<&[u8]> {
    (block.len() <= most).then_some(block)
}
