//! `provision claim-code`.

use serde_json::json;

use super::{
    reveal::reveal,
    root::{Output, until_interrupted},
    run::{OwnerKind, ToldFailure},
    settings::SettingsArgs,
    sign_in::{Access, As, soon},
};

/// Print a fresh claim code, for other tools
///
/// The code works once, for whichever device shows it, and expires. The customer is made if need be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose the device shall be: a customer of the product, or the signed-in developer
    #[arg(long, value_enum, default_value_t = OwnerKind::Customer)]
    owner: OwnerKind,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Gets a code and prints it.
pub fn run(args: &Args, output: Output) -> Result<(), ToldFailure> {
    let who = match args.owner {
        OwnerKind::Customer => As::Client,
        OwnerKind::Developer => As::User,
    };
    let Access { cloud, settings } = Access::new(&args.settings, |_| who)?;
    let owner = match args.owner {
        OwnerKind::Customer => Some((settings.need_product()?.clone(), settings.one_customer()?)),
        OwnerKind::Developer => None,
    };
    until_interrupted(async || {
        let (code, customer) = match &owner {
            Some((product, customer)) => {
                (cloud.customer_claim_code(product, customer, soon()).await, Some(customer))
            }
            None => (cloud.user_claim_code(soon()).await, None),
        };
        let code = code?;
        Ok(reveal(output, code.expose(), &json!({"claim_code": code.expose(), "customer": customer}))?)
    })
}
