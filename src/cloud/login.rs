//! People, who sign in with a name and a password, and their login between commands.

use std::{
    io,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    AccessToken, ApiUrl, Cloud, CloudError, OAuthClient,
    access_tokens::read_token,
    devices::text,
    http::{Call, Kind, Signature},
    sign_in_guard::SignInGuard,
    token_store::{read, sha256, write},
};
use crate::model::{Deadline, FailureCode, guard};

/// The client of everybody who has a password; its secret is none.
fn everybody() -> OAuthClient {
    OAuthClient { id: "particle".into(), secret: "particle".into() }
}

/// What came of a name and a password.
pub enum LogIn {
    /// A token of the person's.
    Done(AccessToken),
    /// The account has an authenticator, whose code is asked for.
    CodeNeeded(HalfLogin),
}

/// A login that waits for its one-time code. Cannot be printed.
pub struct HalfLogin {
    mfa_token: SecretString,
    guard: SignInGuard,
}

#[derive(Deserialize)]
struct CodeAnswer {
    mfa_token: String,
}

#[derive(Deserialize)]
struct UserAnswer {
    #[serde(deserialize_with = "text")]
    username: Option<String>,
}

impl Cloud {
    /// `POST /oauth/token` with a person's name and password.
    ///
    /// # Errors
    ///
    /// `LoginRefused` for a wrong name or password, which the cloud counts as it counts wrong secrets;
    /// `SignInHeldBack` when too many were refused of late; besides what can go wrong in any call.
    pub async fn log_in(
        &self,
        user: &str,
        password: &SecretString,
        deadline: Deadline,
    ) -> Result<LogIn, CloudError> {
        guard(password.expose_secret());
        let sign_in_guard = self.shared.sign_in_guard.of_person(user, password);
        let form = [("grant_type", "password"), ("username", user), ("password", password.expose_secret())];
        let call = Call::repeatable_post(&["oauth", "token"], &form).about(Kind::LogIn);
        let answer = self.send(&call, Signature::Person(&everybody(), &sign_in_guard), deadline).await?;
        if !answer.is_half_a_login() {
            return read_token(answer).map(LogIn::Done);
        }
        let mfa_token = answer.read("an mfa_token", |wire: CodeAnswer| {
            guard(&wire.mfa_token);
            Some(SecretString::from(wire.mfa_token))
        })?;
        Ok(LogIn::CodeNeeded(HalfLogin { mfa_token, guard: sign_in_guard }))
    }

    /// The same with the one-time code that follows. A lost answer is not asked for again, as the code may
    /// be spent.
    ///
    /// # Errors
    ///
    /// `LoginRefused` for a wrong code, after which another may be tried.
    pub async fn log_in_with_code(
        &self,
        half: &HalfLogin,
        code: &SecretString,
        deadline: Deadline,
    ) -> Result<AccessToken, CloudError> {
        guard(code.expose_secret());
        let form = [
            ("grant_type", "urn:custom:mfa-otp"),
            ("mfa_token", half.mfa_token.expose_secret()),
            ("otp", code.expose_secret()),
        ];
        let path = ["oauth", "token"];
        let call = Call { repeatable: false, ..Call::repeatable_post(&path, &form) }.about(Kind::OneTimeCode);
        read_token(self.send(&call, Signature::Person(&everybody(), &half.guard), deadline).await?)
    }

    /// `GET /v1/user` with this token: the name of the user whose it is.
    ///
    /// # Errors
    ///
    /// `CloudRefused` for a token that is no user's, besides what can go wrong in any call.
    pub async fn user_name(&self, token: &AccessToken, deadline: Deadline) -> Result<String, CloudError> {
        let answer = self.send(&Call::get(&["v1", "user"]), Signature::Bearer(token), deadline).await?;
        answer.read("a user", |wire: UserAnswer| wire.username)
    }
}

/// A person's login, as it is kept between commands.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name; empty where it is not known.
    pub user: String,
    /// The token.
    pub token: SecretString,
    /// When it ends, in Unix seconds; absent: not known, or never.
    pub expires_at: Option<u64>,
    /// Whether this program made the token, so that it may revoke it, too.
    pub ours: bool,
}

/// Where the login at one API is kept: one file for its user only (mode 0600).
pub struct LoginStore {
    dir: PathBuf,
    api_url: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    api_url: String,
    user: String,
    token: String,
    expires_at: Option<u64>,
    ours: bool,
}

impl LoginStore {
    /// In this cache.
    pub fn new(cache_dir: &Path, api_url: &ApiUrl) -> Self {
        Self { dir: cache_dir.join("logins"), api_url: api_url.to_string() }
    }

    /// The login, if there is one that can be trusted and still lives.
    pub fn load(&self) -> Option<Login> {
        let stored = read::<Stored>(&self.path()).ok()?.filter(|stored| stored.api_url == self.api_url)?;
        let token =
            AccessToken::parse(&stored.token, stored.expires_at, true).filter(AccessToken::is_fresh)?;
        let Stored { user, expires_at, ours, .. } = stored;
        Some(Login { user, token: token.expose().into(), expires_at, ours })
    }

    /// Keeps it, in place of any other.
    ///
    /// # Errors
    ///
    /// `Configuration` where it cannot be written.
    pub fn save(&self, login: &Login) -> Result<(), CloudError> {
        let stored = Stored {
            api_url: self.api_url.clone(),
            user: login.user.clone(),
            token: login.token.expose_secret().to_owned(),
            expires_at: login.expires_at,
            ours: login.ours,
        };
        write(&self.dir, &self.path(), &stored).map_err(|error| self.unusable("kept", &error))
    }

    /// Forgets it. There need not be one.
    ///
    /// # Errors
    ///
    /// `Configuration` where it cannot be removed.
    pub fn remove(&self) -> Result<(), CloudError> {
        match std::fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.unusable("forgotten", &error)),
            _ => Ok(()),
        }
    }

    fn unusable(&self, what: &str, error: &io::Error) -> CloudError {
        let said = format!("cannot be {what} in {}: {error}", self.dir.display());
        CloudError::new(FailureCode::Configuration, "the login", None, said)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.json", sha256(&[&self.api_url])))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        CloudSettings,
        scripted::{Scripted, settings, soon, token_answer},
    };
    use super::*;
    use crate::model::redact;

    const SIGN_IN: &str = "POST /oauth/token";
    const WRONG: &str = r#"{"error":"invalid_grant","error_description":"User credentials are invalid"}"#;
    const CODE: &str = r#"{"error":"mfa_required","error_description":"x","mfa_token":"the-mfa-token"}"#;

    struct Desk {
        server: Scripted,
        dir: tempfile::TempDir,
    }

    impl Desk {
        async fn new() -> Self {
            Self { server: Scripted::start().await, dir: tempfile::tempdir().unwrap() }
        }

        fn cloud(&self) -> Cloud {
            let cache_dir = Some(self.dir.path().into());
            Cloud::new(CloudSettings { client: None, cache_dir, ..settings(&self.server) }).unwrap()
        }

        async fn log_in(&self, password: &str) -> Result<LogIn, CloudError> {
            self.cloud().log_in("ann@x.example", &password.into(), soon()).await
        }

        async fn half(&self) -> HalfLogin {
            self.server.expect(SIGN_IN, 403, CODE);
            match self.log_in("the-right-password").await.unwrap() {
                LogIn::CodeNeeded(half) => half,
                LogIn::Done(_) => panic!("no code was asked for"),
            }
        }
    }

    #[tokio::test]
    async fn a_name_and_a_password_give_a_token() {
        let desk = Desk::new().await;
        desk.server.expect(SIGN_IN, 200, &token_answer("anns-token"));
        assert!(
            matches!(desk.log_in("p w&=+ü").await, Ok(LogIn::Done(token)) if token.expose() == "anns-token")
        );
        let seen = &desk.server.seen()[0];
        assert_eq!(seen.body, "grant_type=password&username=ann%40x.example&password=p+w%26%3D%2B%C3%BC");
        // particle:particle
        assert!(seen.head.contains("Basic cGFydGljbGU6cGFydGljbGU="), "{}", seen.head);
    }

    #[tokio::test]
    async fn a_password_that_leads_on_to_a_code_is_no_refusal_and_the_token_between_is_guarded() {
        let desk = Desk::new().await;
        let half = desk.half().await;
        assert_eq!(redact("the-mfa-token"), "[redacted]");
        desk.server.expect(SIGN_IN, 200, &token_answer("anns-token"));
        let token = desk.cloud().log_in_with_code(&half, &"314159".into(), soon()).await.unwrap();
        assert_eq!(token.expose(), "anns-token");
        let form = "grant_type=urn%3Acustom%3Amfa-otp&mfa_token=the-mfa-token&otp=314159";
        assert_eq!(desk.server.seen()[1].body, form);
    }

    #[tokio::test]
    async fn another_code_may_be_tried_and_each_wrong_one_counts() {
        let desk = Desk::new().await;
        let half = desk.half().await;
        let cloud = desk.cloud();
        for _ in 0..5 {
            desk.server.expect(SIGN_IN, 400, WRONG);
            let error = cloud.log_in_with_code(&half, &"000000".into(), soon()).await.unwrap_err();
            assert_eq!(error.code, FailureCode::LoginRefused);
        }
        let error = cloud.log_in_with_code(&half, &"000000".into(), soon()).await.unwrap_err();
        assert_eq!(error.code, FailureCode::SignInHeldBack);
    }

    #[tokio::test]
    async fn five_wrong_passwords_hold_that_one_back_and_eight_all_of_them() {
        let desk = Desk::new().await;
        for _ in 0..5 {
            desk.server.expect(SIGN_IN, 400, WRONG);
            assert_eq!(desk.log_in("password-1").await.err().unwrap().code, FailureCode::LoginRefused);
        }
        assert_eq!(desk.log_in("password-1").await.err().unwrap().code, FailureCode::SignInHeldBack);
        // Each differs from the one before in the eight bits that are kept.
        for password in ["password-2", "password-3", "password-4"] {
            desk.server.expect(SIGN_IN, 400, WRONG);
            assert_eq!(desk.log_in(password).await.err().unwrap().code, FailureCode::LoginRefused);
        }
        assert_eq!(desk.log_in("password-5").await.err().unwrap().code, FailureCode::SignInHeldBack);
    }

    #[tokio::test]
    async fn a_login_is_kept_for_its_api_and_its_user_only() {
        let desk = Desk::new().await;
        let store = LoginStore::new(desk.dir.path(), &ApiUrl::default());
        assert!(store.load().is_none());
        let login = Login { user: "ann".into(), token: "anns-token".into(), expires_at: None, ours: true };
        store.save(&login).unwrap();
        let kept = store.load().unwrap();
        assert_eq!((&*kept.user, kept.token.expose_secret(), kept.ours), ("ann", "anns-token", true));
        let elsewhere = ApiUrl::parse("http://127.0.0.1:1").unwrap();
        assert!(LoginStore::new(desk.dir.path(), &elsewhere).load().is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(mode));
            assert_eq!(std::fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
            mode(0o644).unwrap();
            assert!(store.load().is_none());
            mode(0o600).unwrap();
        }
        store.remove().unwrap();
        store.remove().unwrap();
        assert!(store.load().is_none());
        store.save(&Login { expires_at: Some(1), ..login }).unwrap();
        assert!(store.load().is_none(), "it has expired");
    }
}
