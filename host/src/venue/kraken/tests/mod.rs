//! The protocol on recorded frames and on frames made by hand.
