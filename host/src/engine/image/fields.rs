//! An image's fields, one by one: so that a test sees which one differs, and can leave
//! each of them out.

use super::{Image, LaneImage, Shared};

/// The fields of a struct, all of them: with one missing this does not compile.
macro_rules! fields {
    ($struct:ident { $($field:ident),* $(,)? }) => {
        impl $struct {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            #[allow(dead_code, reason = "not of both")]
            fn told(&self) -> Vec<String> {
                let $struct { $($field),* } = self;
                vec![$(format!("{} {:?}", stringify!($field), $field)),*]
            }

            fn take(&mut self, name: &str, from: &Self) {
                match name {
                    $(stringify!($field) => self.$field.clone_from(&from.$field),)*
                    _ => unreachable!("{name}"),
                }
            }
        }
    };
}

fields!(Shared { instruments, market, timeline, total, next_seq, events });
fields!(LaneImage {
    instruments,
    version,
    account,
    brackets,
    orders,
    flight,
    depleted,
    watch,
    fees,
    chain,
    state,
    counters,
    updates,
    next_order,
    next_fill,
    throttle,
    recovery,
    verdicts,
    indicators,
    used,
    second,
    unsaved,
});

impl Image {
    /// By lane: what its hash is made of, in words.
    pub(in crate::engine) fn hashed(&self) -> Vec<Vec<String>> {
        self.lanes.iter().map(|lane| lane.canonical().told()).collect()
    }

    /// The names of all fields: of what lanes share, and of a lane.
    pub(in crate::engine) fn fields() -> (&'static [&'static str], &'static [&'static str]) {
        (Shared::FIELDS, LaneImage::FIELDS)
    }

    /// Without one field of what lanes share, or of every lane: it is as in `fresh`.
    pub(in crate::engine) fn without(mut self, field: &str, fresh: &Self) -> Self {
        match field.split_once('.') {
            Some(("shared", field)) => self.shared.take(field, &fresh.shared),
            Some((_, field)) => {
                for (lane, fresh) in self.lanes.iter_mut().zip(&fresh.lanes) {
                    lane.take(field, fresh);
                }
            }
            None => unreachable!("{field}"),
        }
        self
    }
}
