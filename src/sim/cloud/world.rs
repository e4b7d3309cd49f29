use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CloudConfig, clock::rfc3339};

/// The version of the state file that this code writes and reads.
const STATE_VERSION: u32 = 1;

/// Who owns a device. Names are kept in lower case: the cloud compares them without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Owner {
    /// A developer's account.
    User(String),
    /// A customer; the same name in another product is another customer.
    Customer { product: u32, name: String },
}

impl Owner {
    pub(super) fn user(name: &str) -> Self {
        Self::User(name.to_lowercase())
    }

    pub(super) fn customer(product: u32, name: &str) -> Self {
        Self::Customer { product, name: name.to_lowercase() }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::User(name) | Self::Customer { name, .. } => name,
        }
    }
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Account {
    /// A user or a customer.
    Owner(Owner),
    /// An OAuth client by itself: its product, or nothing for one made at account level.
    Client { id: String, product: Option<u32> },
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Product {
    pub(super) id: u32,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) platform_id: u16,
    pub(super) organization: Option<String>,
    /// The user whose product it is, in lower case.
    pub(super) team: String,
    /// By lower-case name.
    pub(super) customers: BTreeMap<String, Customer>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Customer {
    pub(super) id: String,
    /// As it was given.
    pub(super) name: String,
    /// Absent for a shadow customer.
    pub(super) password: Option<String>,
    pub(super) created_at: i64,
}

/// A developer, who signs in with a password.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct User {
    /// As it was given; accounts are found by its lower case.
    pub(super) name: String,
    pub(super) password: String,
    /// What the account's authenticator shows. Only accounts that have one are asked for it.
    pub(super) one_time_code: Option<String>,
}

/// A sign-in whose password was right and whose one-time code is still to come.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct HalfSignedIn {
    /// In lower case.
    pub(super) user: String,
    pub(super) expires_at: i64,
    /// Seconds that the token shall live.
    pub(super) lifetime: i64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Client {
    pub(super) secret: String,
    pub(super) product: Option<u32>,
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) scope: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) account: Account,
    /// The OAuth client that asked for it.
    pub(super) client_id: String,
    /// Absent: never.
    pub(super) expires_at: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) owner: Owner,
    pub(super) expires_at: i64,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) notes: Option<String>,
    pub(super) owner: Option<Owner>,
    pub(super) product_id: Option<u32>,
    pub(super) platform_id: u16,
    pub(super) firmware: Option<String>,
    pub(super) online: bool,
    pub(super) last_heard: Option<i64>,
    pub(super) quarantined: bool,
    pub(super) denied: bool,
    pub(super) development: bool,
    pub(super) serial_number: Option<String>,
    pub(super) variables: BTreeMap<String, Value>,
    pub(super) functions: BTreeMap<String, i64>,
}

impl Device {
    /// The record as the API answers it.
    pub(super) fn record(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "notes": self.notes,
            "owner": self.owner.as_ref().map(Owner::name),
            "product_id": self.product_id,
            "platform_id": self.platform_id,
            "online": self.online,
            "connected": self.online,
            "last_heard": self.last_heard.map(rfc3339),
            "system_firmware_version": self.firmware,
            "serial_number": self.serial_number,
            "quarantined": self.quarantined,
            "denied": self.denied,
            "development": self.development,
            "variables": self.variables.keys().collect::<Vec<_>>(),
            "functions": self.functions.keys().collect::<Vec<_>>(),
        })
    }
}

/// Everything the simulated cloud knows, and the stored form of it.
#[derive(Serialize, Deserialize)]
pub(super) struct World {
    version: u32,
    /// How far the clock had been moved when this was stored, in milliseconds.
    pub(super) clock_ahead_ms: i64,
    pub(super) home: Home,
    pub(super) products: BTreeMap<u32, Product>,
    pub(super) clients: BTreeMap<String, Client>,
    /// By lower-case name.
    #[serde(default)]
    pub(super) users: BTreeMap<String, User>,
    /// By the token that the one-time code has to come with.
    #[serde(default)]
    pub(super) half_signed_in: HashMap<String, HalfSignedIn>,
    pub(super) tokens: HashMap<String, Token>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) devices: BTreeMap<String, Device>,
    /// The ids of each product's devices, in the order they joined (after a restart: by id). A page is
    /// a slice of it.
    #[serde(skip)]
    members: HashMap<u32, Vec<String>>,
    /// The ids of each account's devices.
    #[serde(skip)]
    owned: HashMap<Owner, BTreeSet<String>>,
    /// Every token and claim code that was given out since the start, spent or not.
    #[serde(skip)]
    pub(super) given_out: Vec<String>,
    /// Whether something has changed since the world was last stored.
    #[serde(skip)]
    pub(super) dirty: bool,
}

/// What a fresh cloud starts with, and what its ready line tells.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Home {
    pub(super) product: u32,
    pub(super) organization: String,
    pub(super) user: String,
    #[serde(default)]
    pub(super) user_password: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) user_token: String,
}

impl World {
    /// One user with a token, one organization, one product, one client of that product.
    pub(super) fn fresh(config: &CloudConfig) -> Self {
        let home = Home {
            product: config.product,
            organization: "provision-sim".into(),
            user: "developer@simulated.example".into(),
            user_password: hex(20),
            client_id: format!("provision-sim-{}", fastrand::u32(1000..10_000)),
            client_secret: hex(40),
            user_token: hex(40),
        };
        let mut world = Self {
            version: STATE_VERSION,
            clock_ahead_ms: 0,
            home: home.clone(),
            products: BTreeMap::new(),
            clients: BTreeMap::new(),
            users: BTreeMap::new(),
            half_signed_in: HashMap::new(),
            tokens: HashMap::new(),
            codes: HashMap::new(),
            devices: BTreeMap::new(),
            members: HashMap::new(),
            owned: HashMap::new(),
            given_out: Vec::new(),
            dirty: true,
        };
        world.add_product(home.product, config.platform_id, &home.user, Some(&home.organization));
        world.clients.insert(
            home.client_id.clone(),
            Client {
                secret: home.client_secret,
                product: Some(home.product),
                name: "provision".into(),
                kind: "installed".into(),
                scope: None,
            },
        );
        world.users.insert(
            home.user.to_lowercase(),
            User {
                name: home.user.clone(),
                password: home.user_password,
                one_time_code: config.one_time_code.clone(),
            },
        );
        let account = Account::Owner(Owner::user(&home.user));
        world.tokens.insert(
            home.user_token,
            Token { account, client_id: "provision-sim-console".into(), expires_at: None },
        );
        world
    }

    /// Reads what [`World::store`] wrote.
    pub(super) fn restore(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut world: Self = serde_json::from_slice(bytes)?;
        if world.version != STATE_VERSION {
            return Err(serde::de::Error::custom(format!("version {} is not known", world.version)));
        }
        for device in world.devices.values() {
            if let Some(product) = device.product_id {
                world.members.entry(product).or_default().push(device.id.clone());
            }
            if let Some(owner) = &device.owner {
                world.owned.entry(owner.clone()).or_default().insert(device.id.clone());
            }
        }
        Ok(world)
    }

    pub(super) fn store(&mut self, clock_ahead_ms: i64) -> Result<Vec<u8>, serde_json::Error> {
        self.clock_ahead_ms = clock_ahead_ms;
        serde_json::to_vec(self)
    }

    pub(super) fn add_product(&mut self, id: u32, platform_id: u16, team: &str, organization: Option<&str>) {
        self.products.insert(
            id,
            Product {
                id,
                slug: format!("simulated-product-{id}"),
                name: format!("Simulated product {id}"),
                platform_id,
                organization: organization.map(str::to_owned),
                team: team.to_lowercase(),
                customers: BTreeMap::new(),
            },
        );
    }

    /// Makes a device known, in place of one with the same id.
    pub(super) fn put(&mut self, device: Device) {
        let (id, owner, product) = (device.id.clone(), device.owner.clone(), device.product_id);
        if self.devices.contains_key(&id) {
            self.set_owner(&id, None);
            self.set_product(&id, None);
        }
        self.devices.insert(id.clone(), Device { owner: None, product_id: None, ..device });
        self.set_owner(&id, owner);
        self.set_product(&id, product);
    }

    /// Nothing happens to an id that is not known.
    pub(super) fn set_owner(&mut self, id: &str, owner: Option<Owner>) {
        let Some(device) = self.devices.get_mut(id) else { return };
        if let Some(before) = std::mem::replace(&mut device.owner, owner.clone())
            && let Some(devices) = self.owned.get_mut(&before)
        {
            devices.remove(id);
        }
        if let Some(owner) = owner {
            self.owned.entry(owner).or_default().insert(id.to_owned());
        }
    }

    /// Nothing happens to an id that is not known.
    pub(super) fn set_product(&mut self, id: &str, product: Option<u32>) {
        let Some(device) = self.devices.get_mut(id) else { return };
        if device.product_id == product {
            return;
        }
        if let Some(before) = std::mem::replace(&mut device.product_id, product)
            && let Some(members) = self.members.get_mut(&before)
        {
            members.retain(|member| member != id);
        }
        if let Some(product) = product {
            self.members.entry(product).or_default().push(id.to_owned());
        }
    }

    /// The ids of a product's devices.
    pub(super) fn members(&self, product: u32) -> &[String] {
        self.members.get(&product).map_or(&[], Vec::as_slice)
    }

    /// The ids of an account's devices, in order.
    pub(super) fn owned(&self, owner: &Owner) -> impl Iterator<Item = &String> {
        self.owned.get(owner).into_iter().flatten()
    }

    pub(super) fn owns_something(&self, owner: &Owner) -> bool {
        self.owned(owner).next().is_some()
    }

    /// What the control endpoint shows: no secret, and no token.
    pub(super) fn dump(&self, now: i64) -> Value {
        let customers: Vec<_> = self
            .products
            .values()
            .flat_map(|product| product.customers.values().map(move |customer| (product, customer)))
            .map(|(product, customer)| {
                let owner = Owner::customer(product.id, &customer.name);
                json!({
                    "product_id": product.id,
                    "name": customer.name,
                    "shadow": customer.password.is_none(),
                    "devices": self.owned(&owner).collect::<Vec<_>>(),
                })
            })
            .collect();
        let mut unused_codes: BTreeMap<&str, usize> = BTreeMap::new();
        for code in self.codes.values().filter(|code| code.expires_at > now) {
            *unused_codes.entry(code.owner.name()).or_default() += 1;
        }
        json!({
            "now": rfc3339(now),
            "devices": self.devices.values().map(Device::record).collect::<Vec<_>>(),
            "customers": customers,
            "unused_claim_codes": unused_codes,
            "valid_tokens": self.tokens.values().filter(|t| t.expires_at.is_none_or(|at| at > now)).count(),
        })
    }
}

/// Random lower-case hexadecimal digits. Good enough for a simulator: nothing real hangs on them.
pub(super) fn hex(digits: usize) -> String {
    std::iter::repeat_with(|| fastrand::digit(16)).take(digits).collect()
}
