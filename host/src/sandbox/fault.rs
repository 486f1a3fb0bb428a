//! What went wrong in a call, from wasmtime's errors to our kinds.

use wasmtime::{Trap, WasmBacktrace};

use crate::strategy::{Fault, FaultKind, clean_text};

/// Bytes of a fault's text that can come from the guest.
const DETAIL_BYTES_MAX: usize = 1024;
/// Frames named in a fault's text.
const FRAMES_MAX: usize = 5;

/// The strategy asked for more memory or table elements than it is given.
#[derive(Debug, thiserror::Error)]
#[error("{what} would grow to {desired}, more than the {limit} allowed")]
pub(super) struct OverLimit {
    pub(super) what: &'static str,
    pub(super) desired: u64,
    pub(super) limit: u64,
}

/// The machine itself has no memory left.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no memory: {0}")]
pub(super) struct NoSystemMemory(pub(super) String);

/// A call that the contract does not allow where it was made, or a value that
/// it does not allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Breach(pub(super) String);

/// The kind of a trap; none for a trap that this host does not know.
pub(super) fn kind_of(trap: Trap) -> Option<FaultKind> {
    Some(match trap {
        Trap::OutOfFuel => FaultKind::OutOfFuel,
        Trap::StackOverflow => FaultKind::StackOverflow,
        Trap::AllocationTooLarge => FaultKind::OutOfMemory,
        Trap::Interrupt => FaultKind::Deadline,
        Trap::DisabledOpcode => FaultKind::Host,
        Trap::MemoryOutOfBounds
        | Trap::HeapMisaligned
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::IntegerOverflow
        | Trap::IntegerDivisionByZero
        | Trap::BadConversionToInteger
        | Trap::UnreachableCodeReached
        | Trap::AtomicWaitNonSharedMemory
        | Trap::NullReference
        | Trap::ArrayOutOfBounds
        | Trap::CastFailure
        | Trap::UnhandledTag
        | Trap::ContinuationAlreadyConsumed
        | Trap::UncaughtException => FaultKind::Trap,
        Trap::CannotEnterComponent
        | Trap::CannotLeaveComponent
        | Trap::CannotBlockSyncTask
        | Trap::NoAsyncResult
        | Trap::AsyncDeadlock
        | Trap::InvalidChar
        | Trap::DebugAssertStringEncodingFinished
        | Trap::DebugAssertEqualCodeUnits
        | Trap::DebugAssertPointerAligned
        | Trap::DebugAssertUpperBitsUnset
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::UnalignedPointer
        | Trap::TaskCancelNotCancelled
        | Trap::TaskCancelOrReturnTwice
        | Trap::SubtaskCancelAfterTerminal
        | Trap::TaskReturnInvalid
        | Trap::WaitableSetDropHasWaiters
        | Trap::SubtaskDropNotResolved
        | Trap::ThreadNewIndirectInvalidType
        | Trap::ThreadNewIndirectUninitialized
        | Trap::BackpressureOverflow
        | Trap::UnsupportedCallbackCode
        | Trap::CannotResumeThread
        | Trap::ConcurrentFutureStreamOp
        | Trap::ReferenceCountOverflow
        | Trap::StreamOpTooBig
        | Trap::WaitableSyncAndAsync => FaultKind::Protocol,
        _ => return None,
    })
}

/// Turns a failed call into a fault. `last_error` is the last line that the
/// guest logged as an error during the call: the SDK's panic hook leaves the
/// panic's message and place there, because a trap carries neither.
pub(super) fn fault_of(error: &wasmtime::Error, last_error: Option<&str>) -> Fault {
    let (kind, what) = classify(error);
    let mut detail = what;
    if let Some(line) = last_error {
        detail.push_str("; last error logged: ");
        detail.push_str(line);
    }
    if let Some(trace) = error.downcast_ref::<WasmBacktrace>() {
        append_frames(&mut detail, trace);
    }
    Fault::new(kind, clean_text(&detail, 2 * DETAIL_BYTES_MAX))
}

fn classify(error: &wasmtime::Error) -> (FaultKind, String) {
    if let Some(over) = error.downcast_ref::<OverLimit>() {
        return (FaultKind::OutOfMemory, over.to_string());
    }
    if let Some(none) = error.downcast_ref::<NoSystemMemory>() {
        return (FaultKind::Host, none.to_string());
    }
    if let Some(breach) = error.downcast_ref::<Breach>() {
        return (FaultKind::Protocol, breach.to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return (kind_of(*trap).unwrap_or(FaultKind::Host), trap.to_string());
    }
    let root = clean_text(&error.root_cause().to_string(), DETAIL_BYTES_MAX);
    // wasmtime keeps the type of this error to itself.
    if root.contains("fuel allocated for hostcalls") {
        let what = "it handed the host more data in one call than allowed";
        return (FaultKind::Output, what.to_owned());
    }
    // What is left comes from reading values out of the guest's memory: a
    // string that is not UTF-8, a pointer that is not aligned or out of range.
    (FaultKind::Protocol, root)
}

fn append_frames(detail: &mut String, trace: &WasmBacktrace) {
    let names = trace.frames().iter().filter_map(|frame| frame.func_name()).take(FRAMES_MAX);
    let names: Vec<_> = names.map(|name| clean_text(name, 100)).collect();
    if !names.is_empty() {
        detail.push_str("; in ");
        detail.push_str(&names.join(" < "));
    }
}

/// The fault of a panic in the host during a call.
pub(super) fn fault_of_panic(payload: &(dyn std::any::Any + Send)) -> Fault {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Fault::new(
        FaultKind::Host,
        format!("the host panicked: {}", clean_text(text, DETAIL_BYTES_MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_exc_every_trap_has_a_kind() {
        let traps: Vec<Trap> = (0..=u8::MAX).filter_map(Trap::from_u8).collect();
        assert!(traps.len() > 40, "{}", traps.len());
        for trap in traps {
            assert!(kind_of(trap).is_some(), "{trap:?} has no kind");
        }
    }
}
