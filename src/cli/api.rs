//! `provision api`: any other endpoint, signed in.

use std::io::{self, IsTerminal, Write};

use clap::{ValueEnum, builder::NonEmptyStringValueParser};
use secrecy::{SecretString, zeroize::Zeroizing};

use super::{
    listing::say,
    root::{Output, until_interrupted},
    run::{ToldFailure, show_warnings},
    secrets::{SecretReader, SecretSource},
    settings::{SettingsArgs, secret_source},
    sign_in::{Access, As, soon},
};
use crate::{
    cloud::{AnyBody, AnyCall, ApiPath, Method, TokenIn, Who},
    model::{Customer, Failure, FailureCode, Invalid, is_called_a_secret, redact_held},
};

const BODY: &str = "JSON body";
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Call any endpoint of the cloud's API, signed in, and print what it answers
///
/// For example `provision api GET /v1/user/products --as user`. The path is below the API's address and cannot
/// lead to another host; redirects are not followed. Secrets that this command holds are masked in what it
/// prints; those that the call itself has made (a token, a client's secret) are shown. A status other than 200
/// or so ends it with the exit code of that refusal, after the answer has been printed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// GET, POST, PUT, PATCH or DELETE
    #[arg(value_name = "METHOD", value_parser = method)]
    method: Method,
    /// The path with its query: /v1/devices?page=2
    #[arg(value_name = "PATH", value_parser = ApiPath::parse)]
    path: ApiPath,
    /// A field: KEY=VALUE, or KEY=@FILE for a secret (@- is standard input). Can be given several times
    ///
    /// Fields go into the query of a GET or DELETE, and into a form otherwise.
    #[arg(short = 'F', long = "field", value_name = "KEY=VALUE", value_parser = NonEmptyStringValueParser::new())]
    fields: Vec<String>,
    /// Send this file's JSON, or - for standard input
    #[arg(long, value_name = "FILE|-", value_parser = secret_source(), conflicts_with = "fields")]
    json: Option<SecretSource>,
    /// Whose token signs it: product, user, or customer:EMAIL
    #[arg(long = "as", value_name = "WHO", default_value = "product", value_parser = who)]
    who: Who,
    /// How the token travels: the three ways that Particle's guide shows; the last two are deprecated
    #[arg(long, value_enum, default_value_t = Style::Header)]
    style: Style,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// `Authorization: Bearer`
    Header,
    /// A field of a POST's or PUT's form
    Form,
    /// In the query of a GET, where proxies and servers log it
    Query,
}

/// Makes the call.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    let mut secrets = SecretReader::of_process();
    let call = call(args, &mut secrets)?;
    show_warnings(&mut secrets);
    let signed = match args.who {
        Who::Product => As::Product,
        Who::User => As::User,
        Who::Customer(_) => As::Client,
    };
    let Access { cloud, .. } = Access::new(&args.settings, |_| signed)?;
    if args.style == Style::Query {
        say(
            "warning: a token in a URL is deprecated, and gets logged on the way: revoke it when you are done",
        );
    }
    until_interrupted(async || {
        let answer = cloud.call_any(&call, &args.who, soon()).await?;
        print(&answer.body)?;
        match answer.refusal {
            None => Ok(()),
            // Standard output holds the answer, and nothing else.
            Some(refusal) if output == Output::Json => {
                say(&format!("error: {refusal}"));
                Err(ToldFailure { code: refusal.code, untold: None })
            }
            Some(refusal) => Err(refusal.into()),
        }
    })
}

fn call(args: &Args, secrets: &mut SecretReader) -> Result<AnyCall, Failure> {
    let in_query = [Method::GET, Method::DELETE].contains(&args.method);
    let (mut query, mut form) = (Vec::new(), Vec::new());
    for field in &args.fields {
        // The words here have no `key=…`, which is taken for a secret's.
        let Some((name, value)) = field.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let next = "write the name, =, and the value; or =@ and a file, for a secret";
            return Err(Failure::configuration("-F wants a name and a value", next));
        };
        if name.eq_ignore_ascii_case("access_token") {
            let next = "leave it out; --style says how the token travels";
            return Err(Failure::configuration("-F access_token: the call is signed by itself", next));
        }
        let file = value.strip_prefix('@');
        match file {
            Some(_) if in_query => {
                return Err(Failure::configuration(
                    "-F: a secret from a file cannot be in a URL, which is logged",
                    "leave that field out: a GET or DELETE takes none that is secret",
                ));
            }
            None if is_called_a_secret(name) => {
                let why = format!("-F {name}: a secret cannot be an argument, nor in a URL");
                return Err(Failure::configuration(why, "give =@ and a file in place of the value"));
            }
            Some(file) => {
                let value =
                    secrets.read(&SecretSource::from(std::ffi::OsString::from(file)), "field's secret")?;
                form.push((name.to_owned(), value));
            }
            None if in_query => query.push((name.to_owned(), value.to_owned())),
            None => form.push((name.to_owned(), SecretString::from(value))),
        }
    }
    let body = match &args.json {
        Some(source) => AnyBody::Json(json(source, secrets)?),
        None if form.is_empty() => AnyBody::Empty,
        None => AnyBody::Form(form),
    };
    let token_in = match args.style {
        Style::Header => TokenIn::Header,
        Style::Form => TokenIn::Form,
        Style::Query => TokenIn::Query,
    };
    Ok(AnyCall { method: args.method.clone(), path: args.path.clone(), query, body, token_in })
}

fn json(source: &SecretSource, secrets: &mut SecretReader) -> Result<SecretString, Failure> {
    let bytes = match source {
        SecretSource::File(path) => secrets.read_whole(path, BODY)?,
        SecretSource::StandardInput => {
            let mut bytes = Zeroizing::new(Vec::new());
            let read = io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes);
            read.map_err(|e| {
                let next = "put it into a file, and name that in place of -";
                Failure::configuration("the JSON body cannot be read from standard input", next).because(e)
            })?;
            bytes
        }
    };
    // Serde's words could repeat a secret.
    let place = |e: serde_json::Error| {
        let (line, column) = (e.line(), e.column());
        Failure::configuration(
            format!("what --json names is not JSON: line {line}, column {column}"),
            "--json takes a file with a whole JSON document, or - for standard input; the document itself cannot be an argument",
        )
    };
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(place)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned().into())
}

/// As it came, but for the secrets that this process holds; on a terminal also without what would move its
/// cursor.
fn print(body: &[u8]) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(body);
    let text = redact_held(&text);
    let mut out = io::stdout().lock();
    let shown = if out.is_terminal() { visible(&text) } else { text.into_owned() };
    let end = if shown.is_empty() || shown.ends_with('\n') { "" } else { "\n" };
    write!(out, "{shown}{end}")
        .and_then(|()| out.flush())
        .map_err(|e| Failure::new(FailureCode::Unexpected, "standard output cannot be written").because(e))
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
        if (c.is_control() && c != '\n' && c != '\t') || reorders {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

fn method(text: &str) -> Result<Method, Invalid> {
    let found = METHODS.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| Invalid { what: "a method", why: "is GET, POST, PUT, PATCH or DELETE".into() })
}

fn who(text: &str) -> Result<Who, Invalid> {
    match text {
        "product" => Ok(Who::Product),
        "user" => Ok(Who::User),
        _ => match text.strip_prefix("customer:") {
            Some(name) => Customer::parse(name).map(Who::Customer),
            None => {
                Err(Invalid { what: "the one to act for", why: "is product, user or customer:EMAIL".into() })
            }
        },
    }
}
