//! What an exchange or the way to it can do wrong, by name.

/// A fault. Those of the link are made by [`super::link`], the others by the
/// server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it; `Fault::says` has the words")]
pub enum Fault {
    CloseNormally,
    Reset,
    CloseGoingAway,
    CloseRestart,
    RefuseHandshake,
    Stall,
    HalfClose,
    SilentSymbol,
    GrantedInVain,
    TradesInVain,
    LaggingTrades,
    TooManyRequests,
    Drip,
    Delay,
    Slice,
    Garbage,
    InvalidUtf8,
    CutJson,
    WrongType,
    MissingField,
    ExtraField,
    DuplicateKey,
    DepthBomb,
    HugeNumber,
    Exponent,
    NotANumber,
    WrongChecksum,
    FlippedBook,
    DropBook,
    DuplicateBook,
    ReorderBook,
    ReplayTrades,
    OddTimes,
    HugeFrame,
    EndlessFragments,
    Compressed,
    PingFlood,
    UnaskedPong,
    UnknownOpcode,
    MaskedFrame,
    Burst,
    AcceptThenClose,
    UpdateBeforeSnapshot,
    SnapshotTwice,
    CrossedBook,
    NegativePrice,
    ZeroPrice,
    UnknownDelete,
    TooManyLevels,
    NoName,
    BlackHole,
    Maintenance,
    CancelOnly,
}

/// Where a fault takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// bytes between the two
    Link,
    /// one frame, the next that fits
    Frame,
    /// the connection, at once
    Connection,
    /// the venue, until it is ended
    Venue,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 53] = [
        Self::CloseNormally,
        Self::Reset,
        Self::CloseGoingAway,
        Self::CloseRestart,
        Self::RefuseHandshake,
        Self::Stall,
        Self::HalfClose,
        Self::SilentSymbol,
        Self::GrantedInVain,
        Self::TradesInVain,
        Self::LaggingTrades,
        Self::TooManyRequests,
        Self::Drip,
        Self::Delay,
        Self::Slice,
        Self::Garbage,
        Self::InvalidUtf8,
        Self::CutJson,
        Self::WrongType,
        Self::MissingField,
        Self::ExtraField,
        Self::DuplicateKey,
        Self::DepthBomb,
        Self::HugeNumber,
        Self::Exponent,
        Self::NotANumber,
        Self::WrongChecksum,
        Self::FlippedBook,
        Self::DropBook,
        Self::DuplicateBook,
        Self::ReorderBook,
        Self::ReplayTrades,
        Self::OddTimes,
        Self::HugeFrame,
        Self::EndlessFragments,
        Self::Compressed,
        Self::PingFlood,
        Self::UnaskedPong,
        Self::UnknownOpcode,
        Self::MaskedFrame,
        Self::Burst,
        Self::AcceptThenClose,
        Self::UpdateBeforeSnapshot,
        Self::SnapshotTwice,
        Self::CrossedBook,
        Self::NegativePrice,
        Self::ZeroPrice,
        Self::UnknownDelete,
        Self::TooManyLevels,
        Self::NoName,
        Self::BlackHole,
        Self::Maintenance,
        Self::CancelOnly,
    ];

    /// Where it takes place.
    #[must_use]
    pub fn place(self) -> Place {
        match self {
            Self::Reset
            | Self::Stall
            | Self::HalfClose
            | Self::Drip
            | Self::Delay
            | Self::Slice
            | Self::NoName
            | Self::BlackHole => Place::Link,
            Self::RefuseHandshake
            | Self::SilentSymbol
            | Self::GrantedInVain
            | Self::TradesInVain
            | Self::LaggingTrades
            | Self::TooManyRequests
            | Self::AcceptThenClose
            | Self::Maintenance
            | Self::CancelOnly => Place::Venue,
            Self::CloseNormally
            | Self::CloseGoingAway
            | Self::CloseRestart
            | Self::Garbage
            | Self::InvalidUtf8
            | Self::DepthBomb
            | Self::HugeFrame
            | Self::EndlessFragments
            | Self::Compressed
            | Self::PingFlood
            | Self::UnaskedPong
            | Self::UnknownOpcode
            | Self::MaskedFrame
            | Self::Burst => Place::Connection,
            _ => Place::Frame,
        }
    }

    /// True when messages of a book can be lost or come twice by it, which the
    /// checksum shows in the ten best levels alone.
    #[must_use]
    pub fn hides_depth(self) -> bool {
        matches!(
            self,
            Self::FlippedBook
                | Self::DropBook
                | Self::DuplicateBook
                | Self::ReorderBook
                | Self::CutJson
                | Self::WrongType
                | Self::MissingField
                | Self::DuplicateKey
                | Self::HugeNumber
                | Self::NotANumber
        )
    }
}
