//! A strategy for tests of the matcher: orders of every kind that wait, changed and
//! canceled at odd times. It wants no profit. Built with `SANDPAPER_SLOW` set it
//! computes longer and decides the same.
#![forbid(unsafe_code)]

use strategy_sdk::prelude::*;

const SLOW: bool = option_env!("SANDPAPER_SLOW").is_some();

/// How much it trades at a time, in base units.
const SIZE: f64 = 0.01;

/// Counts trades and acts at some of them.
#[derive(Serialize, Deserialize)]
pub struct Quoter {
    seen: u64,
    burnt: u64,
}

impl Strategy for Quoter {
    fn describe() -> Description {
        Description::new("quoter")
            .version(env!("CARGO_PKG_VERSION"))
            .trades()
            .book(5)
            .keep_trades(0)
    }

    fn new(_: &mut Context) -> Result<Self, String> {
        Ok(Self { seen: 0, burnt: 0 })
    }

    fn on_trade(&mut self, ctx: &mut Context, trade: &Trade) {
        self.seen += 1;
        if SLOW {
            for round in 0..20_000 {
                self.burnt = self.burnt.rotate_left(7) ^ std::hint::black_box(round);
            }
        }
        let symbol = trade.symbol;
        let best = ctx.book(symbol).and_then(|book| book.best_bid().zip(book.best_ask()));
        let Some((bid, ask)) = best.map(|(bid, ask)| (bid.price, ask.price)) else { return };
        let open = ctx.open_orders(symbol).next();
        let flat = ctx.position(symbol).is_flat();
        let size = Size::base(SIZE);
        // Whatever is refused is asked for again by a later trade.
        match self.seen % 16 {
            0 if flat => {
                ctx.buy(symbol, size).limit(bid).post_only().send().ok();
            }
            1 if flat => {
                let soon = trade.ts_ns + 2_000_000_000;
                ctx.buy(symbol, size).limit(bid - 1.0).good_till(soon).send().ok();
            }
            2 if flat => {
                ctx.buy(symbol, size).limit(ask).time_in_force(TimeInForce::Gtc).send().ok();
            }
            4 if !flat => {
                ctx.sell(symbol, Size::All).limit(ask).send().ok();
            }
            5 if !flat => {
                ctx.sell(symbol, Size::All).trailing_stop(5.0).send().ok();
            }
            7 => {
                if let Some(open) = open {
                    ctx.amend(open.id, None, Some(bid));
                }
            }
            9 => {
                if let Some(open) = open {
                    ctx.cancel(open.id);
                }
            }
            12 if !flat && self.seen.is_multiple_of(5) => {
                ctx.sell(symbol, Size::All).send().ok();
            }
            15 if self.seen.is_multiple_of(7) => ctx.cancel_all(Some(symbol)),
            _ => {}
        }
    }
}

export!(Quoter);
