//! Which boards are attached, at which ports, and whether this user may open them.
//!
//! Nothing here opens a port: opening one can reset a board, and "there, but you may not open it"
//! is an answer, not an error. Everything is synchronous and quick, yet touches the file system:
//! asynchronous callers use `spawn_blocking`.

#[cfg(target_os = "linux")]
use std::{collections::BTreeMap, ffi::OsStr};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::model::{DeviceId, Failure, FailureCode, Invalid, Platform, clean};

/// Particle's USB vendor id.
const VENDOR: u16 = 0x2b04;

/// The kind of board behind a USB product id, if it is one with a console. The bootloader's d006 and
/// d008 have no serial port, so they are not boards here.
fn platform_of(product: u16) -> Option<Platform> {
    match product {
        0xc006 => Some(Platform::Photon),
        0xc008 => Some(Platform::P1),
        _ => None,
    }
}

/// The kind of board in DFU mode behind a USB product id: its bootloader, which has no serial port.
#[cfg(target_os = "linux")]
fn bootloader_of(product: u16) -> Option<Platform> {
    match product {
        0xd006 => Some(Platform::Photon),
        0xd008 => Some(Platform::P1),
        _ => None,
    }
}

/// A board in DFU mode (its status LED blinks yellow). It has no port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootloader {
    /// The kind of board.
    pub platform: Platform,
    /// From its USB serial number, where that is a device id.
    pub device_id: Option<DeviceId>,
}

/// A board whose console can be seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedBoard {
    /// What to open.
    pub port: PathBuf,
    /// The serial number as USB tells it.
    pub usb_serial: Option<String>,
    /// The same, where it is a device id: before firmware 0.6.0 it is a constant that many boards
    /// share.
    pub device_id: Option<DeviceId>,
    /// The kind of board, from its USB product id; absent where only a link tells of the board.
    pub platform: Option<Platform>,
    /// Whether this user may open the port.
    pub access: Access,
    /// The socket it is plugged into, such as `1-1.4`: bus, then the port of each hub on the way.
    /// Stays the same for another board in the same socket.
    pub hub_path: Option<String>,
}

impl AttachedBoard {
    fn new(port: PathBuf, usb_serial: Option<String>, platform: Option<Platform>, access: Access) -> Self {
        let device_id = usb_serial.as_deref().and_then(|serial| DeviceId::parse(serial).ok());
        Self { port, usb_serial, device_id, platform, access, hub_path: None }
    }
}

impl fmt::Display for AttachedBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", shown(&self.port))?;
        if let Some(platform) = self.platform {
            write!(f, "{platform}, ")?;
        }
        match &self.device_id {
            Some(id) => write!(f, "{id}")?,
            None => f.write_str("id not told over USB")?,
        }
        match &self.access {
            Access::Granted => f.write_str(")"),
            access => write!(f, "; {access})"),
        }
    }
}

/// Whether a port may be opened, told without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It may be read and written.
    Granted,
    /// It is there, but not for this user.
    Forbidden(Permissions),
    /// There is nothing at that path.
    Missing,
    /// There is something, but not a serial port.
    NotAPort,
}

impl Access {
    /// Asks the system about this path.
    #[cfg(unix)]
    pub fn of(port: &Path) -> Self {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};

        let metadata = match fs::metadata(port) {
            Ok(metadata) => metadata,
            // A parent directory that may not be searched hides the port as well as if it were not.
            Err(_) => return Self::Missing,
        };
        if !metadata.file_type().is_char_device() {
            return Self::NotAPort;
        }
        match rustix::fs::access(port, rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK) {
            Ok(()) => Self::Granted,
            Err(_) => Self::Forbidden(Permissions {
                owner: name_in("/etc/passwd", metadata.uid()),
                group: name_in("/etc/group", metadata.gid()),
                mode: metadata.mode() & 0o7777,
            }),
        }
    }

    /// Names such as `COM3` are not files, so this cannot be told without opening the port.
    #[cfg(not(unix))]
    pub fn of(_port: &Path) -> Self {
        Self::Granted
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted => f.write_str("may be opened"),
            Self::Forbidden(permissions) => write!(f, "may not be opened: {permissions}"),
            Self::Missing => f.write_str("its device file is missing"),
            Self::NotAPort => f.write_str("not a serial port"),
        }
    }
}

/// Who may open a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// The user's name, or number where it has none.
    pub owner: String,
    /// The group's name, or number where it has none.
    pub group: String,
    /// The permission bits.
    pub mode: u32,
}

impl Permissions {
    const GROUP_MAY_USE: u32 = 0o060;

    /// The group that one could join to open the file, if that would help.
    pub fn useful_group(&self) -> Option<&str> {
        let open_to_group = self.mode & Self::GROUP_MAY_USE == Self::GROUP_MAY_USE;
        (open_to_group && self.group != "root").then_some(&self.group)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "owner {}, group {}, mode {:04o}", self.owner, self.group, self.mode)
    }
}

/// The name of a number in `/etc/passwd` or `/etc/group`. Device files belong to system accounts,
/// which are in these files also where people's accounts come from elsewhere.
#[cfg(unix)]
fn name_in(table: &str, number: u32) -> String {
    let number = number.to_string();
    let table = fs::read_to_string(table).unwrap_or_default();
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(number.as_str())).then(|| name.to_owned())
    });
    name.unwrap_or(number)
}

/// Tells which boards are attached.
pub trait Lister: Send + Sync {
    /// The attached boards, in the order of their ports' names.
    fn boards(&self) -> Result<Vec<AttachedBoard>, ListError>;

    /// Whether this port may be opened, be it a board's or any other.
    fn access(&self, port: &Path) -> Access;

    /// The boards that are attached in DFU mode, as far as this lister can see them.
    fn bootloaders(&self) -> Vec<Bootloader> {
        Vec::new()
    }
}

/// The place that knows of attached boards cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for boards in {place}")]
pub struct ListError {
    place: String,
    source: io::Error,
}

/// The lister for a directory of links that stands in for a hub, or the system's own.
pub fn lister(directory: Option<PathBuf>) -> Box<dyn Lister> {
    match directory {
        Some(directory) => Box::new(DirLister::new(directory)),
        None => Box::new(SystemLister::default()),
    }
}

/// The boards that the system knows of.
///
/// On Linux they are read from sysfs, which needs neither udev's library nor its database; elsewhere
/// from the system's list of serial ports.
#[derive(Debug, Clone)]
pub struct SystemLister {
    #[cfg(target_os = "linux")]
    sys: PathBuf,
    #[cfg(target_os = "linux")]
    dev: PathBuf,
    access: fn(&Path) -> Access,
}

impl Default for SystemLister {
    fn default() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            sys: "/sys".into(),
            #[cfg(target_os = "linux")]
            dev: "/dev".into(),
            access: Access::of,
        }
    }
}

#[cfg(target_os = "linux")]
impl SystemLister {
    /// Another tree than `/sys` and `/dev`, and another way to tell what may be opened.
    pub fn rooted(sys: PathBuf, dev: PathBuf, access: fn(&Path) -> Access) -> Self {
        Self { sys, dev, access }
    }

    /// The board behind a terminal's entry in sysfs, with the number of its USB interface.
    /// None for everything else, and for a board that is unplugged while it is looked at.
    fn board(&self, terminal: &Path) -> Option<(PathBuf, u8, AttachedBoard)> {
        // /sys/class/tty/ttyACM0/device leads to the interface (1-1.4:1.0), which lies in the USB
        // device (1-1.4).
        let interface = fs::canonicalize(terminal.join("device")).ok()?;
        let device = interface.parent()?;
        let number = |dir: &Path, attribute| u16::from_str_radix(&attribute_of(dir, attribute)?, 16).ok();
        if number(device, "idVendor")? != VENDOR {
            return None;
        }
        let platform = platform_of(number(device, "idProduct")?)?;
        let port = self.dev.join(terminal.file_name()?);
        let access = (self.access)(&port);
        let mut board = AttachedBoard::new(port, attribute_of(device, "serial"), Some(platform), access);
        board.hub_path = device.file_name().and_then(OsStr::to_str).map(str::to_owned);
        let interface = number(&interface, "bInterfaceNumber").and_then(|n| n.try_into().ok()).unwrap_or(0);
        Some((device.to_owned(), interface, board))
    }
}

#[cfg(target_os = "linux")]
fn attribute_of(dir: &Path, name: &str) -> Option<String> {
    let bytes = fs::read(dir.join(name)).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(target_os = "linux")]
impl Lister for SystemLister {
    fn boards(&self) -> Result<Vec<AttachedBoard>, ListError> {
        let mut by_device = BTreeMap::<PathBuf, (u8, AttachedBoard)>::new();
        for terminal in entries(&self.sys.join("class/tty"))? {
            let Some((device, interface, board)) = self.board(&terminal) else { continue };
            // User firmware may open a second serial port: still one board, whose console is the first.
            match by_device.get(&device) {
                Some((other, _)) if *other <= interface => {}
                _ => drop(by_device.insert(device, (interface, board))),
            }
        }
        Ok(in_order(by_device.into_values().map(|(_, board)| board).collect()))
    }

    fn access(&self, port: &Path) -> Access {
        (self.access)(port)
    }

    fn bootloaders(&self) -> Vec<Bootloader> {
        let devices = entries(&self.sys.join("bus/usb/devices")).unwrap_or_default();
        let bootloader = |device: &PathBuf| {
            let number = |name| u16::from_str_radix(&attribute_of(device, name)?, 16).ok();
            (number("idVendor")? == VENDOR).then_some(())?;
            let platform = bootloader_of(number("idProduct")?)?;
            let serial = attribute_of(device, "serial");
            let device_id = serial.and_then(|serial| DeviceId::parse(&serial).ok());
            Some(Bootloader { platform, device_id })
        };
        devices.iter().filter_map(bootloader).collect()
    }
}

#[cfg(not(target_os = "linux"))]
impl Lister for SystemLister {
    fn boards(&self) -> Result<Vec<AttachedBoard>, ListError> {
        let ports = serialport::available_ports()
            .map_err(|e| ListError { place: "the system's list of serial ports".into(), source: e.into() })?;
        Ok(in_order(ports.into_iter().filter_map(|port| from_port_info(port, self.access)).collect()))
    }

    fn access(&self, port: &Path) -> Access {
        (self.access)(port)
    }
}

/// The board behind an entry of the system's list of serial ports.
#[cfg(any(test, not(target_os = "linux")))]
fn from_port_info(port: serialport::SerialPortInfo, access: fn(&Path) -> Access) -> Option<AttachedBoard> {
    let serialport::SerialPortType::UsbPort(usb) = port.port_type else { return None };
    // macOS has each port twice, and opening the `tty.` one waits for a carrier that never comes.
    if usb.vid != VENDOR || port.port_name.starts_with("/dev/tty.") {
        return None;
    }
    let platform = platform_of(usb.pid)?;
    let path = PathBuf::from(port.port_name);
    let access = access(&path);
    Some(AttachedBoard::new(path, usb.serial_number, Some(platform), access))
}

/// A directory of links that stands in for a hub: each link leads to a port and is named by the USB
/// serial number of the board there, as in `/dev/photon`, with the socket after an `@` where that is
/// known: `3b0021001747353236343033@1-1.4`. What kind of board it is they do not tell.
#[derive(Debug, Clone)]
pub struct DirLister {
    directory: PathBuf,
    access: fn(&Path) -> Access,
}

impl DirLister {
    /// The boards in this directory, which is read anew each time.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, access: Access::of }
    }
}

impl Lister for DirLister {
    fn boards(&self) -> Result<Vec<AttachedBoard>, ListError> {
        let boards = entries(&self.directory)?.into_iter().filter_map(|port| {
            let name = port.file_name()?.to_str()?.to_owned();
            let (serial, socket) = match name.split_once('@') {
                Some((serial, socket)) => (serial.to_owned(), Some(socket.to_owned())),
                None => (name, None),
            };
            let access = (self.access)(&port);
            // A link that leads nowhere is a board that was unplugged.
            let there = !serial.starts_with('.') && matches!(access, Access::Granted | Access::Forbidden(_));
            there.then(|| AttachedBoard {
                hub_path: socket,
                ..AttachedBoard::new(port, Some(serial), None, access)
            })
        });
        Ok(in_order(boards.collect()))
    }

    fn access(&self, port: &Path) -> Access {
        (self.access)(port)
    }
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, ListError> {
    let error = |source| ListError { place: shown(directory), source };
    // An entry that cannot be read is one that has just gone.
    Ok(fs::read_dir(directory).map_err(error)?.flatten().map(|entry| entry.path()).collect())
}

/// By name, with ttyACM2 before ttyACM10.
fn in_order(mut boards: Vec<AttachedBoard>) -> Vec<AttachedBoard> {
    boards.sort_by(|a, b| {
        let key = |board: &AttachedBoard| (board.port.as_os_str().len(), board.port.clone());
        key(a).cmp(&key(b))
    });
    boards
}

/// How a user names a board on USB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsbTarget {
    /// `auto`: the one that is attached.
    Auto,
    /// 24 hexadecimal digits: the board with this USB serial number, at whatever port.
    Device(DeviceId),
    /// Anything else: a port, such as `/dev/ttyACM0` or `COM3`.
    Port(PathBuf),
}

impl FromStr for UsbTarget {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "" => Err(Invalid { what: "a USB board", why: "is auto, a device id or a port".into() }),
            "auto" => Ok(Self::Auto),
            text => Ok(DeviceId::parse(text).map_or_else(|_| Self::Port(text.into()), Self::Device)),
        }
    }
}

impl fmt::Display for UsbTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Device(id) => write!(f, "{id}"),
            Self::Port(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A port that may be opened, and what USB tells of the board behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What to open: the path that was named, or the one under which the board was found.
    pub port: PathBuf,
    /// The board's id, where USB tells it.
    pub device_id: Option<DeviceId>,
    /// The kind of board, where USB tells it.
    pub platform: Option<Platform>,
}

/// Why no port was found that may be opened.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing is attached, and no port was named.
    #[error("no Photon or P1 is attached over USB")]
    NothingAttached,
    /// Several boards are attached, and none was named.
    #[error("{} boards are attached and none of them was named: {}", .0.len(), listed(.0))]
    Several(Vec<AttachedBoard>),
    /// Others are, or none is.
    #[error("device {id} is not attached over USB; {}", attached(.others))]
    NotAttached {
        /// The board that was named.
        id: DeviceId,
        /// The boards that are attached.
        others: Vec<AttachedBoard>,
    },
    /// Nothing is at the path that was named.
    #[error("there is no port {}", shown(.0))]
    NoSuchPort(PathBuf),
    /// The port is there, but not for this user.
    #[error("{} may not be opened by this user ({permissions}){}", shown(.port), needed(.permissions))]
    Forbidden {
        /// The port.
        port: PathBuf,
        /// Who may open it.
        permissions: Permissions,
    },
    /// What is at the path is a file, a directory or the like.
    #[error("{} is not a serial port", shown(.0))]
    NotASerialPort(PathBuf),
    /// It cannot be told what is attached.
    #[error(transparent)]
    Unlistable(#[from] ListError),
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy())
}

fn listed(boards: &[AttachedBoard]) -> String {
    boards.iter().map(AttachedBoard::to_string).collect::<Vec<_>>().join(", ")
}

fn attached(boards: &[AttachedBoard]) -> String {
    match boards {
        [] => "nothing is".into(),
        boards => format!("attached: {}", listed(boards)),
    }
}

fn needed(permissions: &Permissions) -> String {
    match permissions.useful_group() {
        Some(group) => format!(": it takes the udev rule, or membership of the group {group}"),
        None => ": it takes the udev rule".into(),
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        let code = match error {
            FindError::Unlistable(error) => return error.into(),
            FindError::NothingAttached
            | FindError::NotAttached { .. }
            | FindError::NoSuchPort(_)
            | FindError::NotASerialPort(_) => FailureCode::NoDevice,
            FindError::Several(_) => FailureCode::SeveralDevices,
            FindError::Forbidden { .. } => FailureCode::PortForbidden,
        };
        // Not `Failure::new`, which would cut a long list of boards. Each part of it is clean.
        Self { code, step: None, detail: error.to_string(), next: None, source: None }
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        Self::new(FailureCode::Unexpected, error.to_string()).because(error.source)
    }
}

/// Finds the port of the board that the user means.
pub fn find(target: &UsbTarget, lister: &dyn Lister) -> Result<Found, FindError> {
    let board = match target {
        UsbTarget::Auto => only(lister.boards()?)?,
        UsbTarget::Device(id) => with_id(id, lister.boards()?)?,
        UsbTarget::Port(port) => return at_port(port, lister),
    };
    usable(&board.port, board.access)?;
    Ok(Found { port: board.port, device_id: board.device_id, platform: board.platform })
}

fn only(boards: Vec<AttachedBoard>) -> Result<AttachedBoard, FindError> {
    match boards.as_slice() {
        [] => Err(FindError::NothingAttached),
        [board] => Ok(board.clone()),
        _ => Err(FindError::Several(boards)),
    }
}

fn with_id(id: &DeviceId, boards: Vec<AttachedBoard>) -> Result<AttachedBoard, FindError> {
    match boards.iter().find(|board| board.device_id.as_ref() == Some(id)) {
        Some(board) => Ok(board.clone()),
        None => Err(FindError::NotAttached { id: id.clone(), others: boards }),
    }
}

/// The port as it was named, which may be one that no lister knows.
fn at_port(port: &Path, lister: &dyn Lister) -> Result<Found, FindError> {
    usable(port, lister.access(port))?;
    // What is known of the port is welcome, not needed: it was named.
    let boards = lister.boards().unwrap_or_default();
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let wanted = real(port);
    let known = boards.into_iter().find(|board| board.port == port || real(&board.port) == wanted);
    let device_id = known.as_ref().and_then(|board| board.device_id.clone());
    Ok(Found {
        port: port.to_owned(),
        device_id: device_id.or_else(|| named_by_link(port)),
        platform: known.and_then(|board| board.platform),
    })
}

/// The udev rule's links, `/dev/photon/DEVICE_ID`, are named by the USB serial number.
fn named_by_link(port: &Path) -> Option<DeviceId> {
    let id = DeviceId::parse(port.file_name()?.to_str()?).ok()?;
    fs::symlink_metadata(port).is_ok_and(|it| it.is_symlink()).then_some(id)
}

fn usable(port: &Path, access: Access) -> Result<(), FindError> {
    let port = port.to_owned();
    match access {
        Access::Granted => Ok(()),
        Access::Forbidden(permissions) => Err(FindError::Forbidden { port, permissions }),
        Access::Missing => Err(FindError::NoSuchPort(port)),
        Access::NotAPort => Err(FindError::NotASerialPort(port)),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const ID: &str = "3b0021001747353236343033";
    const OTHER_ID: &str = "1e0032000447343138333038";

    fn permissions() -> Permissions {
        Permissions { owner: "root".into(), group: "dialout".into(), mode: 0o660 }
    }

    /// What stands in for `Access::of`: trees in a test hold plain files, and root may open anything.
    fn access(port: &Path) -> Access {
        match fs::read_to_string(port) {
            Err(_) => Access::Missing,
            Ok(text) if text == "forbidden" => Access::Forbidden(permissions()),
            Ok(text) if text == "not a port" => Access::NotAPort,
            Ok(_) => Access::Granted,
        }
    }

    /// A `/sys` and a `/dev` with what a test plugs in.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(machine.path("sys/class/tty")).unwrap();
            fs::create_dir_all(machine.path("dev")).unwrap();
            // A terminal with no device behind it.
            fs::create_dir_all(machine.path("sys/devices/virtual/tty/tty0")).unwrap();
            symlink(machine.path("sys/devices/virtual/tty/tty0"), machine.path("sys/class/tty/tty0"))
                .unwrap();
            machine
        }

        fn path(&self, below: &str) -> PathBuf {
            self.0.path().join(below)
        }

        fn plug(&self, socket: &str, product: &str, serial: &str, terminals: &[&str]) -> &Self {
            let device = format!("sys/devices/pci0000:00/usb1/{socket}");
            fs::create_dir_all(self.path(&device)).unwrap();
            let (vendor, product) = product.split_once(':').unwrap();
            for (name, value) in [("idVendor", vendor), ("idProduct", product), ("serial", serial)] {
                fs::write(self.path(&device).join(name), format!("{value}\n")).unwrap();
            }
            let on_the_bus = self.path("sys/bus/usb/devices");
            fs::create_dir_all(&on_the_bus).unwrap();
            symlink(self.path(&device), on_the_bus.join(socket)).unwrap();
            for (n, name) in terminals.iter().enumerate() {
                let interface = self.path(&format!("{device}/{socket}:1.{}", 2 * n));
                let terminal = interface.join("tty").join(name);
                fs::create_dir_all(&terminal).unwrap();
                fs::write(interface.join("bInterfaceNumber"), format!("{:02x}\n", 2 * n)).unwrap();
                symlink(&interface, terminal.join("device")).unwrap();
                symlink(&terminal, self.path("sys/class/tty").join(name)).unwrap();
                self.node(name, "");
            }
            self
        }

        fn node(&self, name: &str, text: &str) -> &Self {
            fs::write(self.path("dev").join(name), text).unwrap();
            self
        }

        fn lister(&self) -> SystemLister {
            SystemLister::rooted(self.path("sys"), self.path("dev"), access)
        }

        fn find(&self, target: &str) -> Result<Found, FindError> {
            find(&target.parse().unwrap(), &self.lister())
        }
    }

    fn code(result: Result<Found, FindError>) -> FailureCode {
        Failure::from(result.unwrap_err()).code
    }

    #[test]
    fn photons_and_p1s_are_told_from_bootloaders_and_other_vendors() {
        let machine = Machine::new();
        machine
            .plug("1-1.4", "2b04:c006", &ID.to_uppercase(), &["ttyACM10"])
            .plug("1-1.3", "2b04:c008", "00000000050C", &["ttyACM2"])
            .plug("1-1.2", "2b04:d006", OTHER_ID, &[])
            .plug("1-2", "2341:0043", OTHER_ID, &["ttyACM0"])
            .plug("1-3", "2b04:c00a", OTHER_ID, &["ttyACM1"]);
        let boards = machine.lister().boards().unwrap();
        let seen: Vec<_> = boards
            .iter()
            .map(|b| {
                (
                    b.port.file_name().unwrap().to_str().unwrap(),
                    b.platform.unwrap(),
                    b.hub_path.as_deref().unwrap(),
                )
            })
            .collect();
        assert_eq!(seen, [("ttyACM2", Platform::P1, "1-1.3"), ("ttyACM10", Platform::Photon, "1-1.4")]);
        assert_eq!(boards[0].usb_serial.as_deref(), Some("00000000050C"));
        assert_eq!(boards[0].device_id, None);
        assert_eq!(boards[1].device_id.as_ref().unwrap().as_str(), ID);
    }

    #[test]
    fn boards_in_dfu_mode_are_seen_though_they_have_no_port() {
        let machine = Machine::new();
        assert_eq!(machine.lister().bootloaders(), []);
        machine.plug("1-1", "2b04:c006", ID, &["ttyACM0"]).plug("1-2", "2b04:d008", OTHER_ID, &[]);
        let p1 = Bootloader { platform: Platform::P1, device_id: DeviceId::parse(OTHER_ID).ok() };
        assert_eq!(machine.lister().bootloaders(), [p1]);
    }

    #[test]
    fn a_board_with_two_serial_ports_is_one_board_at_its_first() {
        let machine = Machine::new();
        machine.plug("1-1", "2b04:c006", ID, &["ttyACM7", "ttyACM3"]);
        assert_eq!(machine.find("auto").unwrap().port, machine.path("dev/ttyACM7"));
    }

    #[test]
    fn auto_finds_the_only_board() {
        let machine = Machine::new();
        assert_eq!(code(machine.find("auto")), FailureCode::NoDevice);
        machine.plug("1-1", "2b04:c006", ID, &["ttyACM0"]);
        let found = machine.find("auto").unwrap();
        assert_eq!(found.port, machine.path("dev/ttyACM0"));
        assert_eq!(found.device_id.unwrap().as_str(), ID);
        assert_eq!(found.platform, Some(Platform::Photon));
    }

    #[test]
    fn auto_lists_all_boards_when_there_are_several() {
        let machine = Machine::new();
        for n in 0..12 {
            let serial = format!("3b00210017473532363430{n:02}");
            machine.plug(&format!("1-1.{n}"), "2b04:c006", &serial, &[&format!("ttyACM{n}")]);
        }
        machine.node("ttyACM3", "forbidden");
        let failure = Failure::from(machine.find("auto").unwrap_err());
        assert_eq!(failure.code, FailureCode::SeveralDevices);
        for n in 0..12 {
            assert!(failure.detail.contains(&format!("3b00210017473532363430{n:02}")), "{failure}");
        }
        assert!(failure.detail.contains("ttyACM3 (Photon, 3b0021001747353236343003; may not be opened"));
    }

    #[test]
    fn a_device_id_finds_its_board_at_any_port() {
        let machine = Machine::new();
        machine.plug("1-1", "2b04:c006", ID, &["ttyACM0"]).plug("1-2", "2b04:c008", OTHER_ID, &["ttyACM5"]);
        let found = machine.find(&OTHER_ID.to_uppercase()).unwrap();
        assert_eq!((found.port, found.platform), (machine.path("dev/ttyACM5"), Some(Platform::P1)));
        let failure = Failure::from(machine.find("0123456789abcdef01234567").unwrap_err());
        assert_eq!(failure.code, FailureCode::NoDevice);
        assert!(failure.detail.contains("attached: ") && failure.detail.contains(OTHER_ID), "{failure}");
    }

    #[test]
    fn a_port_is_used_as_named_with_what_is_known_of_its_board() {
        let machine = Machine::new();
        machine.plug("1-1", "2b04:c006", ID, &["ttyACM0"]).plug("1-2", "2b04:c008", OTHER_ID, &["ttyACM1"]);
        let link = machine.path("dev/my-board");
        symlink("ttyACM1", &link).unwrap();
        let found = machine.find(link.to_str().unwrap()).unwrap();
        assert_eq!(found.port, link);
        assert_eq!(found.device_id.unwrap().as_str(), OTHER_ID);
        assert_eq!(found.platform, Some(Platform::P1));
    }

    #[test]
    fn a_link_named_by_a_device_id_tells_it_and_a_file_so_named_does_not() {
        let machine = Machine::new();
        machine.node("pts5", "").node(OTHER_ID, "");
        symlink("pts5", machine.path("dev").join(ID)).unwrap();
        let found = machine.find(machine.path("dev").join(ID).to_str().unwrap()).unwrap();
        assert_eq!(found.device_id.unwrap().as_str(), ID);
        assert_eq!(found.platform, None);
        let found = machine.find(machine.path("dev").join(OTHER_ID).to_str().unwrap()).unwrap();
        assert_eq!(found.device_id, None);
    }

    #[test]
    fn ports_that_cannot_be_used_say_why() {
        let machine = Machine::new();
        machine
            .plug("1-1", "2b04:c006", ID, &["ttyACM0"])
            .node("ttyACM0", "forbidden")
            .node("a", "not a port");
        let failure = Failure::from(machine.find("auto").unwrap_err());
        assert_eq!(failure.code, FailureCode::PortForbidden);
        assert!(failure.detail.contains("owner root, group dialout, mode 0660"), "{failure}");
        assert!(failure.detail.contains("membership of the group dialout"), "{failure}");
        let at = |name| machine.find(machine.path("dev").join(name).to_str().unwrap());
        assert!(matches!(at("ttyACM0"), Err(FindError::Forbidden { .. })));
        assert!(matches!(at("ttyACM9"), Err(FindError::NoSuchPort(_))));
        assert!(matches!(at("a"), Err(FindError::NotASerialPort(_))));
    }

    #[test]
    fn a_group_is_advised_only_where_joining_it_would_help() {
        assert_eq!(permissions().useful_group(), Some("dialout"));
        assert_eq!(Permissions { mode: 0o600, ..permissions() }.useful_group(), None);
        assert_eq!(Permissions { group: "root".into(), ..permissions() }.useful_group(), None);
    }

    #[test]
    fn real_paths_are_told_apart_without_opening_them() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Access::of(Path::new("/dev/null")), Access::Granted);
        assert_eq!(Access::of(dir.path()), Access::NotAPort);
        assert_eq!(Access::of(&dir.path().join("ttyACM0")), Access::Missing);
    }

    #[test]
    fn numbers_without_a_name_stay_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("group");
        fs::write(&table, "root:x:0:\ndialout:x:20:ann,bob\n").unwrap();
        assert_eq!(name_in(table.to_str().unwrap(), 20), "dialout");
        assert_eq!(name_in(table.to_str().unwrap(), 21), "21");
    }

    #[test]
    fn a_directory_of_links_stands_in_for_a_hub() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/null", dir.path().join(ID)).unwrap();
        symlink("/dev/zero", dir.path().join("00000000050C")).unwrap();
        symlink("/dev/no-such-port", dir.path().join(OTHER_ID)).unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        let lister = DirLister::new(dir.path().into());
        let boards = lister.boards().unwrap();
        assert_eq!(boards.len(), 2, "{boards:?}");
        let found = find(&UsbTarget::Device(DeviceId::parse(ID).unwrap()), &lister).unwrap();
        assert_eq!(found.port, dir.path().join(ID));
        let found = find(&UsbTarget::Port("/dev/null".into()), &lister).unwrap();
        assert_eq!(found.device_id.unwrap().as_str(), ID);
    }

    #[test]
    fn a_link_can_tell_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/null", dir.path().join(format!("{ID}@1-1.4"))).unwrap();
        let boards = DirLister::new(dir.path().into()).boards().unwrap();
        assert_eq!(boards[0].device_id.as_ref().unwrap().as_str(), ID);
        assert_eq!(boards[0].hub_path.as_deref(), Some("1-1.4"));
    }

    #[test]
    fn a_place_that_cannot_be_read_is_named() {
        let lister = DirLister::new("/no/such/hub".into());
        let failure = Failure::from(find(&UsbTarget::Auto, &lister).unwrap_err());
        assert!(failure.to_string().starts_with("cannot look for boards in /no/such/hub: "), "{failure}");
    }

    #[test]
    fn ports_of_other_systems_are_understood() {
        let port = |name: &str, vid, pid| serialport::SerialPortInfo {
            port_name: name.into(),
            port_type: serialport::SerialPortType::UsbPort(serialport::UsbPortInfo {
                vid,
                pid,
                serial_number: Some(ID.into()),
                manufacturer: None,
                product: None,
            }),
        };
        let seen = |info| from_port_info(info, |_| Access::Granted).map(|board| board.port);
        assert_eq!(seen(port("COM3", 0x2b04, 0xc006)), Some("COM3".into()));
        assert_eq!(seen(port("/dev/cu.usbmodem1411", 0x2b04, 0xc008)), Some("/dev/cu.usbmodem1411".into()));
        assert_eq!(seen(port("/dev/tty.usbmodem1411", 0x2b04, 0xc008)), None);
        assert_eq!(seen(port("COM4", 0x2341, 0x0043)), None);
    }

    #[test]
    fn targets_are_auto_an_id_or_a_path() {
        assert_eq!("auto".parse(), Ok(UsbTarget::Auto));
        assert_eq!(ID.to_uppercase().parse(), Ok(UsbTarget::Device(DeviceId::parse(ID).unwrap())));
        assert_eq!("COM3".parse(), Ok(UsbTarget::Port("COM3".into())));
        assert!("".parse::<UsbTarget>().is_err());
    }
}
