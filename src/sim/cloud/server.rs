use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Router, middleware};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{
    BadFault, Fault, Gate, RequestRecord,
    office::Office,
    ownership::is_id,
    routes,
    tls::{Certificate, Identity},
    traffic::oversee,
    wire::{Lines, Peer, Switchboard},
    world::{Client, Customer, Device, Owner, Token, World, hex},
};

/// How a simulated cloud is set up.
#[derive(Debug, Clone)]
pub struct CloudConfig {
    /// Where to listen; port 0 leaves the choice to the system.
    pub listen: SocketAddr,
    /// Whether it speaks TLS (HTTP/2 and HTTP/1.1, as the client wishes), and with which certificate.
    pub tls: Option<Certificate>,
    /// Where everything is kept from one start to the next; absent: in memory only. What the file holds
    /// goes before `product` and `platform_id`.
    pub state_file: Option<PathBuf>,
    /// Waited before every answer of the API.
    pub latency: Duration,
    /// Whether rate limits and the lock-out are in force.
    pub limits: bool,
    /// What shall go wrong.
    pub faults: Vec<Fault>,
    /// The product's number.
    pub product: u32,
    /// The platform that the product is for, such as 6 for the Photon.
    pub platform_id: u16,
    /// What the developer's authenticator shows, always the same. Absent: the account has none.
    pub one_time_code: Option<String>,
    /// How long a claim code works. The real lifetime is not published; an hour by default.
    pub claim_code_lifetime: Duration,
    /// How long an event stream may say nothing; the real one says something at least every 12 s.
    pub keep_alive: Duration,
}

impl Default for CloudConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            state_file: None,
            latency: Duration::ZERO,
            limits: true,
            faults: Vec::new(),
            product: 1319,
            platform_id: 6,
            one_time_code: None,
            claim_code_lifetime: Duration::from_secs(60 * 60),
            keep_alive: Duration::from_secs(9),
        }
    }
}

/// What one needs to know to use a simulated cloud. Its secrets open nothing else.
#[derive(Clone, Serialize)]
pub struct CloudInfo {
    /// Without a slash at its end.
    pub api_url: String,
    /// The product's number.
    pub product: u32,
    /// The product's other name.
    pub product_slug: String,
    /// A two-legged client of the product.
    pub client_id: String,
    /// That client's secret.
    pub client_secret: String,
    /// A token of the developer whose product it is; never expires.
    pub user_token: String,
    /// The developer's name.
    pub user: String,
    /// The developer's password.
    pub user_password: String,
}

/// A device that shall exist, as tests describe one; what is left out is plain.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceSeed {
    /// 24 hexadecimal digits in lower case.
    pub id: String,
    /// A customer of the device's product if there is one of this name, else a user.
    pub owner: Option<String>,
    /// The product it is in.
    pub product_id: Option<u32>,
    /// Absent: the platform of the simulator's own product.
    pub platform_id: Option<u16>,
    /// The name it was given.
    pub name: String,
    /// Whether it has a session right now.
    pub online: bool,
    /// Whether it says it is of its product but was never imported.
    pub quarantined: bool,
    /// Whether it was banned from its product.
    pub denied: bool,
    /// Whether it is marked as a development device.
    pub development: bool,
    /// The factory's serial number.
    pub serial_number: Option<String>,
    /// Its firmware's variables.
    pub variables: BTreeMap<String, Value>,
    /// Its firmware's functions, each with the value that it returns.
    pub functions: BTreeMap<String, i64>,
}

/// A running simulated cloud. It serves, on the runtime it was started on, until it is dropped or shut
/// down, which resets every open connection.
pub struct SimCloud {
    office: Arc<Office>,
    lines: Arc<Lines>,
    serving: JoinHandle<()>,
    ca_pem: Option<String>,
}

impl SimCloud {
    /// Listens and serves. Fails if it may not listen there, or if the state file cannot be read, is
    /// none, or cannot be written.
    pub async fn start(config: CloudConfig) -> io::Result<Self> {
        let identity =
            config.tls.map(|certificate| Identity::new(certificate, config.listen.ip())).transpose()?;
        let (tls, ca_pem) = identity.map(|identity| (identity.server, identity.ca_pem)).unzip();
        let listener = TcpListener::bind(config.listen).await?;
        let office = Arc::new(Office::open(config, listener.local_addr()?)?);
        office.settle()?;
        let lines = Arc::new(Lines::default());
        let switchboard = Switchboard { listener, tls: tls.map(TlsAcceptor::from), lines: lines.clone() };
        let api = routes::api()
            .layer(middleware::from_fn_with_state(office.clone(), oversee))
            .with_state(office.clone());
        let app: Router = routes::beside_the_api().with_state(office.clone()).merge(api);
        let service = app.into_make_service_with_connect_info::<Peer>();
        let serving = tokio::spawn(async move {
            // Serving has no end of its own and reports no error: it ends when its task does.
            let _ = axum::serve(switchboard, service).await;
        });
        Ok(Self { office, lines, serving, ca_pem })
    }

    /// The certificate, as PEM, of those who signed its own: what a client has to trust. Only with TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Where it is and how to sign in.
    pub fn info(&self) -> CloudInfo {
        let world = self.office.world();
        let home = world.home.clone();
        CloudInfo {
            api_url: self.office.api_url.clone(),
            product: home.product,
            product_slug: world.products.get(&home.product).map(|p| p.slug.clone()).unwrap_or_default(),
            client_id: home.client_id,
            client_secret: home.client_secret,
            user_token: home.user_token,
            user: home.user,
            user_password: home.user_password,
        }
    }

    /// Moves the clock of tokens, claim codes, limits and lock-outs forward.
    pub fn advance(&self, by: Duration) {
        self.office.clock.advance(by);
        self.office.world().dirty = true;
    }

    /// The requests so far (the latest 50,000), in order of arrival, without those to `/simulator/`.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.office.log.records()
    }

    /// How many connections brought the requests, those to `/simulator/` aside.
    pub fn connections(&self) -> u32 {
        self.office.connections()
    }

    /// Everything but the secrets, as `GET /simulator/state` shows it.
    pub fn snapshot(&self) -> Value {
        self.office.world().dump(self.office.clock.now())
    }

    /// Every secret that it holds or has given out since it was started: clients' secrets, passwords,
    /// one-time codes, tokens, claim codes. For tests that look for them where none may be.
    pub fn secrets(&self) -> Vec<String> {
        let world = self.office.world();
        let clients = world.clients.values().map(|client| client.secret.clone());
        let users =
            world.users.values().flat_map(|user| [Some(user.password.clone()), user.one_time_code.clone()]);
        let customers = world.products.values().flat_map(|product| product.customers.values());
        let customers = customers.map(|customer| customer.password.clone());
        let held = world.tokens.keys().chain(world.codes.keys()).chain(&world.given_out).cloned();
        let mut secrets: Vec<_> = clients.chain(held).chain(users.chain(customers).flatten()).collect();
        secrets.sort_unstable();
        secrets.dedup();
        secrets
    }

    /// The device's record as the API answers it.
    pub fn device(&self, id: &str) -> Option<Value> {
        self.office.world().devices.get(id).map(Device::record)
    }

    /// Makes a device known, in place of one of the same id. Says whether it did: it refuses what is no
    /// id, and products that do not exist.
    pub fn add_device(&self, seed: DeviceSeed) -> bool {
        seed_device(&mut self.office.world(), seed)
    }

    /// Makes a shadow customer of the simulator's own product.
    pub fn add_customer(&self, name: &str) {
        let mut world = self.office.world();
        let (product, created_at) = (world.home.product, self.office.clock.now());
        let customer = Customer { id: hex(24), name: name.to_owned(), password: None, created_at };
        if let Some(product) = world.products.get_mut(&product) {
            product.customers.insert(name.to_lowercase(), customer);
        }
        world.dirty = true;
    }

    /// Gives a known device to a customer of its product, or else a user, of this name, or to nobody.
    pub fn set_owner(&self, id: &str, owner: Option<&str>) {
        let mut world = self.office.world();
        let product = world.devices.get(id).and_then(|device| device.product_id);
        let owner = owner.map(|name| owner_named(&world, product, name));
        world.set_owner(id, owner);
        world.dirty = true;
    }

    /// Adds a product that belongs to somebody else than the simulator's developer.
    pub fn add_foreign_product(&self, id: u32, platform_id: u16) {
        let mut world = self.office.world();
        world.add_product(id, platform_id, "stranger@simulated.example", None);
        world.dirty = true;
    }

    /// Adds a two-legged client of this product, or one made at account level, and gives its id and
    /// secret.
    pub fn add_client(&self, product: Option<u32>) -> (String, String) {
        let (id, secret) = (format!("provision-sim-{}", hex(8)), hex(40));
        let client = Client {
            secret: secret.clone(),
            product,
            name: "added".into(),
            kind: "installed".into(),
            scope: None,
        };
        let mut world = self.office.world();
        world.clients.insert(id.clone(), client);
        world.dirty = true;
        (id, secret)
    }

    /// Revokes every token but the developer's, as if an administrator had.
    pub fn revoke_tokens(&self) {
        let mut world = self.office.world();
        let keep = world.home.user_token.clone();
        world.tokens.retain(|text, _: &mut Token| *text == keep);
        world.dirty = true;
    }

    /// Breaks off every event stream that is open now.
    pub fn cut_streams(&self) {
        self.office.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets something more go wrong, after the faults that are there already.
    pub fn add_fault(&self, fault: Fault) {
        self.office.faults.add(fault);
    }

    /// Lets nothing more go wrong.
    pub fn clear_faults(&self) {
        self.office.faults.clear();
    }

    /// Puts up a gate at this route (see [`super::RoutePattern`]).
    pub fn gate(&self, route: &str) -> Result<Gate, BadFault> {
        Ok(self.office.gates.put_up(route.parse()?))
    }

    /// Stops listening, resets all connections and stores the state a last time. When this is over, the
    /// port is free.
    pub async fn shutdown(mut self) -> io::Result<()> {
        self.serving.abort();
        // Only says that it was aborted.
        let _ = (&mut self.serving).await;
        self.lines.cut_all();
        self.office.settle()
    }
}

impl Drop for SimCloud {
    fn drop(&mut self) {
        self.serving.abort();
        self.lines.cut_all();
        if let Err(error) = self.office.settle() {
            tracing::warn!(%error, "the simulated cloud's state could not be stored");
        }
    }
}

/// See [`SimCloud::add_device`].
pub(super) fn seed_device(world: &mut World, seed: DeviceSeed) -> bool {
    if !is_id(&seed.id) || seed.product_id.is_some_and(|id| !world.products.contains_key(&id)) {
        return false;
    }
    let home_platform = world.products.get(&world.home.product).map_or(6, |product| product.platform_id);
    let owner = seed.owner.map(|name| owner_named(world, seed.product_id, &name));
    world.put(Device {
        id: seed.id,
        name: seed.name,
        notes: None,
        owner,
        product_id: seed.product_id,
        platform_id: seed.platform_id.unwrap_or(home_platform),
        firmware: None,
        online: seed.online,
        last_heard: None,
        quarantined: seed.quarantined,
        denied: seed.denied,
        development: seed.development,
        serial_number: seed.serial_number,
        variables: seed.variables,
        functions: seed.functions,
    });
    world.dirty = true;
    true
}

fn owner_named(world: &World, product: Option<u32>, name: &str) -> Owner {
    let customers =
        product.and_then(|id| world.products.get(&id)).map(|product| (product.id, &product.customers));
    match customers {
        Some((product, customers)) if customers.contains_key(&name.to_lowercase()) => {
            Owner::customer(product, name)
        }
        _ => Owner::user(name),
    }
}
