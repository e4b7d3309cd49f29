//! A Photon on its own access point: SoftAP's vocabulary over one of its two wires.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::{Manner, Note, Patience, SetupDevice, Sighting, Tell};
use crate::{
    link::softap::{SoftApError, SoftApLink, SoftApTarget, Wire},
    model::{
        Action, ClaimCode, DeviceId, Failure, FailureCode, Identity, ScannedNetwork, Ssid, WifiCredentials,
    },
    protocol::{
        carry::check_for_softap,
        seal::DeviceKey,
        softap::{ConfigureError, KeyForm, Reply, Request, ResultCode},
    },
};

/// How often a device that does not answer is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// How long it may take to be told that the network was lost, once nobody answers there.
const TELLS: Duration = Duration::from_millis(500);
/// How long the access point may take to go away once it was told to.
const GOES_AWAY: Duration = Duration::from_secs(10);

/// Gets this computer onto a Photon's own network, and back. Any call may be dropped half-way;
/// [`Joiner::go_back`] then still goes back.
#[async_trait]
pub trait Joiner: Send {
    /// The network.
    fn network(&self) -> &Ssid;

    /// Whether it was joined, or partly, and there is a way back to go.
    fn is_away(&self) -> bool;

    /// Joins it, remembering what this computer was connected to.
    async fn join(&mut self) -> Result<(), Failure>;

    /// Ends when the network that was joined is lost, with how. Never ends otherwise.
    async fn lost(&mut self) -> Failure;

    /// Goes back to what this computer was connected to, and tells its name.
    async fn go_back(&mut self) -> Result<String, Failure>;

    /// Ends when the network, which was about to go away, is seen to be there again. Never ends otherwise.
    async fn comes_back(&mut self);
}

/// Asks, for as long as this computer is on the network that it has joined.
async fn ask(
    joiner: &mut Option<Box<dyn Joiner>>,
    link: &mut SoftApLink,
    request: &Request,
    allowed: Duration,
) -> Result<Result<Reply, SoftApError>, Failure> {
    let answer = tokio::select! {
        biased;
        answer = link.ask(request, allowed) => answer,
        failure = lost(joiner) => return Err(failure),
    };
    // A network that goes away may show by its connections first.
    if answer.is_err()
        && joiner.is_some()
        && let Ok(failure) = timeout(TELLS, lost(joiner)).await
    {
        return Err(failure);
    }
    Ok(answer)
}

/// Ends when the network is lost that this computer has joined.
async fn lost(joiner: &mut Option<Box<dyn Joiner>>) -> Failure {
    match joiner {
        Some(joiner) if joiner.is_away() => joiner.lost().await,
        _ => std::future::pending().await,
    }
}

/// A Photon or P1 in setup mode, on its own network.
pub struct SoftApPhoton {
    target: SoftApTarget,
    /// To be tried in this order; the first answer leaves one of them, for good.
    wires: Vec<(Wire, String)>,
    patience: Patience,
    /// The id that is expected; nothing secret goes to another.
    expected: Option<DeviceId>,
    /// To the device that has answered.
    link: Option<SoftApLink>,
    /// What the device said of itself. The network may change under this computer while it waits for
    /// something else, so it is asked again then.
    identity: Option<Identity>,
    key: Option<DeviceKey>,
    /// Without one, a person brings this computer onto the network.
    joiner: Option<Box<dyn Joiner>>,
}

impl SoftApPhoton {
    /// Nothing is opened yet.
    pub fn new(target: SoftApTarget, expected: Option<DeviceId>, patience: Patience) -> Self {
        let wires = target.wires();
        Self { target, wires, patience, expected, link: None, identity: None, key: None, joiner: None }
    }

    /// The same, on a network that is joined for it.
    #[must_use]
    pub fn joining(self, joiner: Box<dyn Joiner>) -> Self {
        Self { joiner: Some(joiner), ..self }
    }

    /// Asks who answers. The first answer settles the wire.
    async fn hail(&mut self) -> Result<Identity, Failure> {
        let links = match self.link.take() {
            Some(link) => vec![link],
            None => self.wires.iter().map(|(wire, at)| SoftApLink::new(*wire, at.clone())).collect(),
        };
        let (question, mut failed) = (Request::device_id(), None);
        for mut link in links {
            let answer = ask(&mut self.joiner, &mut link, &question, self.patience.answer).await?;
            match answer.and_then(|reply| Ok(reply.device_id()?)) {
                Ok(answer) => {
                    self.wires.retain(|(wire, _)| *wire == link.wire());
                    self.link = Some(link);
                    self.recognise(&answer.id)?;
                    let identity = Identity {
                        id: answer.id,
                        platform: None,
                        firmware: None,
                        claimed: answer.claimed,
                        mac: None,
                        serial_number: None,
                    };
                    self.identity = Some(identity.clone());
                    return Ok(identity);
                }
                Err(error) => {
                    debug!(%error, wire = ?link.wire(), "no device id");
                    // Why the preferred wire did not work tells more than why the other did not.
                    failed.get_or_insert(error);
                }
            }
        }
        Err(match failed {
            Some(error) => self.failure(error),
            None => Failure::new(FailureCode::Unexpected, "no wire to the device"),
        })
    }

    /// Refuses a device that is not the one that is meant, or not the one of a moment ago.
    fn recognise(&self, id: &DeviceId) -> Result<(), Failure> {
        let expected = self.expected.as_ref().or(self.identity.as_ref().map(|identity| &identity.id));
        match expected {
            Some(expected) if expected != id => Err(Failure::new(
                FailureCode::WrongDevice,
                format!("the device at {} is {id}, not {expected}", self.target),
            )),
            _ => Ok(()),
        }
    }

    async fn ask(&mut self, request: &Request, allowed: Duration) -> Result<Reply, Failure> {
        let Some(link) = &mut self.link else {
            return Err(Failure::new(FailureCode::NoAnswer, "the device has not answered yet"));
        };
        let answer = ask(&mut self.joiner, link, request, allowed).await?;
        answer.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: SoftApError) -> Failure {
        let (code, detail) = match &error {
            SoftApError::Unreachable { .. } => {
                (FailureCode::NotListening, format!("no Photon answers at {}", self.target))
            }
            SoftApError::Broken(_) | SoftApError::Answer(_) => (
                FailureCode::NoAnswer,
                format!("the device at {} gave no answer that can be used", self.target),
            ),
        };
        Failure::new(code, detail).because(error)
    }

    fn unusable(&self, error: crate::protocol::softap::AnswerError) -> Failure {
        self.failure(SoftApError::Answer(error))
    }

    /// The credentials with the true security and channel, which old firmware stores as they come.
    async fn completed(
        &mut self,
        wifi: &WifiCredentials,
        tell: Tell<'_>,
    ) -> Result<WifiCredentials, Failure> {
        if wifi.security().is_some() {
            return Ok(wifi.clone());
        }
        let seen = self.scan(tell).await?;
        wifi.completed(&seen).map_err(|e| Failure::new(FailureCode::WifiCannotArrive, e.to_string()))
    }

    async fn configure(&mut self, wifi: &WifiCredentials, form: KeyForm) -> Result<ResultCode, Failure> {
        if wifi.has_secret() && self.key.is_none() {
            let reply = self.ask(&Request::public_key(), self.patience.answer).await?;
            self.key = Some(reply.public_key().map_err(|e| self.unusable(e))?);
        }
        let request = Request::configure(wifi, self.key.as_ref(), form).map_err(|error| {
            let code = match error {
                ConfigureError::CannotCarry(_) | ConfigureError::SecurityUnknown => {
                    FailureCode::WifiCannotArrive
                }
                ConfigureError::Seal(_) | ConfigureError::KeyUnknown => FailureCode::Unexpected,
            };
            Failure::new(code, error.to_string())
        })?;
        let reply = self.ask(&request, self.patience.wifi).await?;
        reply.result().map_err(|e| self.unusable(e))
    }
}

#[async_trait]
impl SetupDevice for SoftApPhoton {
    async fn find(&mut self) -> Result<Sighting, Failure> {
        // The network proves nothing about who is on it, so nothing is known before it is asked.
        Ok(Sighting::default())
    }

    async fn reach(&mut self, manner: Manner, tell: Tell<'_>) -> Result<Identity, Failure> {
        let until = Instant::now() + self.patience.listening;
        if self.joiner.as_ref().is_some_and(|joiner| !joiner.is_away()) {
            return Err(Failure::new(FailureCode::NotListening, "the device's network was not joined yet"));
        }
        // Who joins by the program has nothing to do.
        let mut asked = self.joiner.is_some();
        loop {
            let failure = match self.hail().await {
                Ok(identity) => return Ok(identity),
                Err(failure)
                    if matches!(failure.code, FailureCode::WrongDevice | FailureCode::NetworkLost) =>
                {
                    return Err(failure);
                }
                Err(failure) => failure,
            };
            if manner < Manner::Touch || Instant::now() + TRY_AGAIN >= until {
                return Err(failure);
            }
            if !asked {
                asked = true;
                tell(Note::Action(Action::JoinPhoton));
            }
            // Networks that come and go announce themselves nowhere that is portable: this is a poll.
            sleep(TRY_AGAIN).await;
        }
    }

    fn takes_claim_code(&self, _identity: &Identity) -> Result<(), Failure> {
        // Every firmware of a Photon takes one this way.
        Ok(())
    }

    async fn set_claim_code(&mut self, code: &ClaimCode, _tell: Tell<'_>) -> Result<(), Failure> {
        let reply = self.ask(&Request::set_claim_code(code), self.patience.answer).await?;
        match reply.result().map_err(|e| self.unusable(e))? {
            ResultCode::Done => Ok(()),
            refused => Err(Failure::new(
                FailureCode::CodeRefused,
                format!("the device did not take the claim code: {refused}"),
            )),
        }
    }

    fn carries(&self, wifi: &WifiCredentials, identity: Option<&Identity>) -> Result<(), Failure> {
        check_for_softap(wifi, identity.and_then(|identity| identity.firmware.as_ref()))
            .map_err(|e| Failure::new(FailureCode::WifiCannotArrive, e.to_string()))
    }

    async fn scan(&mut self, tell: Tell<'_>) -> Result<Vec<ScannedNetwork>, Failure> {
        tell(Note::Text("the device looks for networks, which takes it some seconds".into()));
        let reply = self.ask(&Request::scan(), self.patience.wifi).await?;
        reply.scan().map_err(|e| self.unusable(e))
    }

    async fn set_wifi(&mut self, wifi: &WifiCredentials, tell: Tell<'_>) -> Result<(), Failure> {
        let wifi = self.completed(wifi, tell).await?;
        tell(Note::Text("the device looks for the network, which may take it up to a minute".into()));
        let mut result = self.configure(&wifi, KeyForm::Der).await?;
        if result == ResultCode::EnterpriseIncomplete && wifi.has_private_key() {
            // 2.3.1 takes a private key as DER only; what older firmware wants is not known.
            tell(Note::Again("the device did not take the private key as DER; trying PEM".into()));
            result = self.configure(&wifi, KeyForm::Pem).await?;
        }
        let why = match result {
            ResultCode::Done => return Ok(()),
            ResultCode::NotSeen => {
                "; a hidden network cannot be set over SoftAP by this firmware, but over USB it can"
                    .to_owned()
            }
            _ => String::new(),
        };
        Err(Failure::new(FailureCode::WifiRefused, format!("the network was not saved: {result}{why}")))
    }

    fn may_cut_off_the_internet(&self) -> bool {
        true
    }

    fn joiner(&mut self) -> Option<&mut (dyn Joiner + 'static)> {
        self.joiner.as_deref_mut()
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        let reply = self.ask(&Request::connect(), self.patience.answer).await?;
        match reply.result().map_err(|e| self.unusable(e))? {
            ResultCode::Done => Ok(()),
            refused => Err(Failure::new(
                FailureCode::NoAnswer,
                format!("the device did not leave setup mode: {refused}"),
            )),
        }
    }

    async fn back(&mut self) {
        if let Some(joiner) = &mut self.joiner {
            // This computer is elsewhere by now, and can only see whether the network is there.
            return joiner.comes_back().await;
        }
        // First it goes away, which the server shows by letting go of its connection; over TCP it has
        // let go already, and the port closes a moment later.
        if let Some(link) = &mut self.link {
            let _ = timeout(GOES_AWAY, link.closed()).await;
        }
        let gone_by = Instant::now() + GOES_AWAY;
        let mut gone = false;
        let mut pause = Duration::from_millis(10);
        loop {
            match self.hail().await {
                Ok(_) if gone || Instant::now() >= gone_by => return,
                Ok(_) => {}
                Err(_) => gone = true,
            }
            sleep(pause).await;
            pause = (pause * 2).min(TRY_AGAIN);
        }
    }

    async fn release(&mut self) {
        // There is no idle prompt to go back to, and the person who brought the device into setup mode
        // may want to go on.
        self.link = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const ID: &str = "3b0021001747353236343033";

    /// Says who it is over TCP, to as many as ask.
    async fn over_tcp() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 64];
                let count = stream.read(&mut request).await.unwrap();
                assert_eq!(&request[..count], b"device-id\n0\n\n");
                let answer = format!("\n\n{{\"id\":\"{ID}\",\"c\":\"0\"}}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn tcp_is_taken_where_http_does_not_answer_and_never_left_again() {
        // The port is taken, and whoever comes is turned away at first.
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut photon = SoftApPhoton::new(SoftApTarget::default(), None, Patience::default());
        let at = http.local_addr().unwrap().to_string();
        photon.wires = vec![(Wire::Http, at), (Wire::Tcp, over_tcp().await)];
        let turned_away = async { drop(http.accept().await.unwrap()) };
        let (identity, ()) = tokio::join!(photon.reach(Manner::LookOnly, &|_| {}), turned_away);
        assert_eq!(identity.unwrap().id.as_str(), ID);
        // HTTP would answer by now; that the device is asked anew makes no difference.
        photon.release().await;
        tokio::select! {
            identity = photon.reach(Manner::LookOnly, &|_| {}) => assert_eq!(identity.unwrap().id.as_str(), ID),
            _ = http.accept() => panic!("it was asked over HTTP"),
        }
    }

    /// Gives these answers over HTTP, one a request, and then the bodies that came.
    async fn scripted(answers: &[&str]) -> (SoftApPhoton, impl Future<Output = Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string().parse().unwrap();
        let answers: Vec<_> = answers.iter().map(|body| (*body).to_owned()).collect();
        let serve = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut heard, mut bodies) = (Vec::new(), Vec::new());
            for answer in answers {
                let body = loop {
                    let text = String::from_utf8_lossy(&heard).into_owned();
                    if let Some((head, body)) = text.split_once("\r\n\r\n") {
                        let length = head
                            .split_once("Content-Length: ")
                            .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse::<usize>().unwrap());
                        if body.len() == length {
                            break body.as_bytes().to_vec();
                        }
                    }
                    stream.read_buf(&mut heard).await.unwrap();
                };
                heard.clear();
                bodies.push(body);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            bodies
        };
        (SoftApPhoton::new(target, None, Patience::default()), serve)
    }

    #[tokio::test]
    async fn a_private_key_that_is_refused_as_der_goes_once_more_as_pem() {
        use crate::protocol::{openssl::openssl_text, recorded};
        use rsa::pkcs8::EncodePublicKey;

        let device_key = recorded::private_key().to_public_key().to_public_key_der().unwrap();
        let key = base16ct::lower::encode_string(device_key.as_bytes());
        let pem = openssl_text(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], "");
        let form = serde_json::json!({"network": "Corp", "security": "WPA2_802.1x", "eap": "tls", "private_key": pem,
            "client_certificate": "-----BEGIN CERTIFICATE-----\nMAUCAQECAQI=\n-----END CERTIFICATE-----\n"});
        let wifi = WifiCredentials::from_json(&form.to_string(), |_| unreachable!()).unwrap();
        let who = format!("{{\"id\":\"{ID}\",\"c\":\"0\"}}");
        let answers = [who.as_str(), &format!("{{\"b\":\"{key}\",\"r\":0}}"), "{\"r\":1}", "{\"r\":0}"];
        let (mut photon, serve) = scripted(&answers).await;
        let give = async {
            photon.reach(Manner::LookOnly, &|_| {}).await.unwrap();
            photon.set_wifi(&wifi, &|_| {}).await.unwrap();
        };
        let ((), bodies) = tokio::join!(give, serve);
        // AES-CBC's padding is 1 to 16 bytes.
        let sealed_size = |body: &[u8]| {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap();
            body["key"].as_str().unwrap().len() / 2
        };
        let (der, pem) = (crate::model::PrivateKey::parse(&pem).unwrap().der().len(), pem.len());
        assert_eq!(sealed_size(&bodies[2]), (der / 16 + 1) * 16);
        assert_eq!(sealed_size(&bodies[3]), (pem / 16 + 1) * 16);
    }

    #[tokio::test]
    async fn a_command_whose_answer_is_lost_is_not_given_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = listener.local_addr().unwrap().to_string().parse().unwrap();
        let mut photon = SoftApPhoton::new(target, None, Patience::default());
        let code = ClaimCode::parse(&"x".repeat(63)).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let body = format!("{{\"id\":\"{ID}\",\"c\":\"0\"}}");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            // The code comes over the same connection, and is never answered.
            assert!(stream.read(&mut request).await.unwrap() > 0);
            drop(stream);
            listener.accept().await.unwrap();
        };
        let run = async {
            photon.reach(Manner::LookOnly, &|_| {}).await.unwrap();
            photon.set_claim_code(&code, &|_| {}).await.unwrap_err()
        };
        tokio::select! {
            failure = run => assert_eq!(failure.code, FailureCode::NoAnswer),
            () = serve => panic!("the code was given again"),
        }
    }
}
