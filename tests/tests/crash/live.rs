//! A live feed beside the record: killed amid it, and a disk that stalls under it.

use rustix::process::{Pid, Signal, kill_process};

use sandpaper::domain::Ts;
use sandpaper::input::{EventRef, TradingStatus};

use super::*;
use crate::live::{recorded_blocks, venue};

/// How the strategies of [`ready`] are run on a venue at this address.
fn trading_live(folder: &Folder, url: &str, more: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> =
        ["run", "--feed", "kraken", "--unsigned", "--json", "--url", url].map(str::to_owned).into();
    for number in 0.. {
        let name = format!("t{number}.wasm");
        if !folder.path(&name).is_file() {
            break;
        }
        arguments.extend(["--wasm".to_owned(), name]);
    }
    let settings = ["portfolio.capital=10000000000", "log.format=json"];
    arguments.extend(["--symbols", "ETH/USD"].map(str::to_owned));
    arguments.extend(settings.into_iter().flat_map(|s| ["--set".to_owned(), s.to_owned()]));
    arguments.extend(more.iter().map(|&argument| argument.to_owned()));
    arguments
}

/// Lines of the log with this in them.
fn said(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn b1_a_live_run_that_is_killed_keeps_all_that_it_showed() {
    let (folder, venue) = (ready(2), venue());
    let (mut child, log) = start(&folder, &trading_live(&folder, &venue.url, &[]));
    let pid = Pid::from_child(&child);
    let (shown, text) = read_log(log, 20, || kill_process(pid, Signal::KILL).expect("a process"));
    assert_eq!(child.wait().expect("it ends").code(), None);
    assert!(count(&shown) >= 20, "{text}");
    let run = take_run(&folder).expect("a run");
    let kept = prove(&folder, &run, &shown).expect("all of it");
    assert!(!kept.ended, "it was cut");
    // The control: a record that lacks what was shown last is noticed.
    let mut more = shown;
    more.values_mut().for_each(|fills| fills.push("never".into()));
    assert!(kept.holds(&more).is_err());
}

/// A live run goes on behind a gap that its record shows: stale from the restart on,
/// and nothing before a new snapshot but what the venue had.
#[test]
fn add_10_a_live_run_that_is_killed_goes_on_and_invents_nothing_for_the_gap() {
    let (folder, venue) = (ready(1), venue());
    let (mut child, log) = start(&folder, &trading_live(&folder, &venue.url, &[]));
    let pid = Pid::from_child(&child);
    let (shown, text) = read_log(log, 5, || kill_process(pid, Signal::KILL).expect("a process"));
    assert_eq!(child.wait().expect("it ends").code(), None, "{text}");
    forgive(&folder);
    let [run] = folder.runs().try_into().expect("a run");
    let before: usize = recorded_blocks(&run).iter().map(|block| block.len()).sum();
    // Meanwhile the venue asks for half a coin at least, of which the strategy buys one.
    venue.exchange.state().set_minimum(1, 50_000_000);
    let (mut child, log) = start(&folder, &trading_live(&folder, &venue.url, &[]));
    let pid = Pid::from_child(&child);
    let (more, text) = read_log(log, 5, || kill_process(pid, Signal::INT).expect("a process"));
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{text}");
    assert_eq!(folder.runs(), std::slice::from_ref(&run), "it went on: {text}");
    let kept = prove(&folder, &run, &shown).expect("all of the first");
    assert!(kept.ended && kept.fill_count() >= (count(&shown) + count(&more)) as u64, "{text}");

    let blocks = recorded_blocks(&run);
    let state = venue.exchange.state();
    let (mut at, mut last, mut fresh, mut stale, mut rules) = (0, Ts(0), false, 0, 0);
    for block in &blocks {
        for index in 0..block.len() {
            at += 1;
            assert!(block.ts(index) >= last, "time goes on");
            last = block.ts(index);
            if at == before + 1 {
                let status = TradingStatus::Stale;
                let is_stale =
                    matches!(block.get(index), EventRef::Status { status: s, .. } if s == status);
                assert!(is_stale, "the gap begins with the word that all is stale");
            }
            match block.get(index) {
                EventRef::Status { status, .. } => {
                    stale += usize::from(at > before && status == TradingStatus::Stale);
                    fresh = status != TradingStatus::Stale;
                }
                EventRef::Book { snapshot, .. } => {
                    assert!(snapshot || fresh, "event {at} changes a stale book");
                }
                EventRef::Rules { rules: new, .. } => {
                    rules += usize::from(new.qty_min.0 == 50_000_000);
                }
                EventRef::Trade(trade) => {
                    let print = state.market.books[1].print(trade.id).expect("a true trade");
                    assert_eq!((print.price, print.qty), (trade.price.0, trade.qty.0));
                }
                _ => {}
            }
        }
    }
    assert_eq!(rules, 1, "the rules of now, once");
    assert!(stale >= 1 && at > before, "{stale} stale marks, {at} events behind {before}");
}

/// The connection has a thread of its own, so that a disk that stalls under the engine
/// costs no connection and no trade; what came meanwhile is taken afterwards.
#[test]
fn b12_while_a_sync_stalls_the_live_feed_stays_connected_and_loses_nothing() {
    if !strace::present() {
        return;
    }
    let (folder, venue) = (ready(1), venue());
    let seconds = if size("SANDPAPER_CRASH_POINTS", 1) > 1 { 5 } else { 2 };
    let inject = format!("fdatasync:delay_enter={}:when=8", seconds * 1_000_000);
    let duration = format!("{}s", seconds + 4);
    let arguments = trading_live(&folder, &venue.url, &["--duration", &duration]);
    let traced = strace::run(&folder, &[inject], &arguments);
    assert_eq!(traced.code, Some(0), "{}", traced.stderr);
    let stalled = |call: &strace::Call| call.result.as_ref().is_some_and(|r| r.contains("DELAYED"));
    assert!(traced.threads.iter().flatten().any(stalled), "no stall: {}", traced.stderr);
    assert_eq!(said(&traced.stderr, "connected to"), 1, "{}", traced.stderr);
    for trouble in ["no connection", "were missed", "silent", "cannot be trusted", "too slow"] {
        assert_eq!(said(&traced.stderr, trouble), 0, "{trouble}: {}", traced.stderr);
    }
    let shown = shown_in(traced.stderr.lines());
    let kept = prove(&folder, &take_run(&folder).expect("a run"), &shown).expect("all of it");
    assert!(kept.ended && count(&shown) > 5, "{}", traced.stderr);
}
