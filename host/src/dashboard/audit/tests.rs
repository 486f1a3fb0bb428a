use super::*;

fn place(folder: &tempfile::TempDir, rotate: u64) -> Place {
    Place { file: folder.path().join("audit.jsonl"), rotate, keep: 3 }
}

fn entry(detail: &str) -> Entry<'_> {
    Entry {
        address: Some(IpAddr::from([127, 0, 0, 1])),
        role: Some(Role::Admin),
        by: "key".into(),
        subject: Some("one"),
        detail: Some(detail),
        ..Entry::of("pause")
    }
}

/// Four lines, written by two runs.
fn written(place: &Place) {
    for run in 0..2 {
        let audit = Audit::open(place.clone()).unwrap();
        audit.write(&entry(&format!("run {run}"))).unwrap();
        audit.write(&entry("again, \"quoted\"")).unwrap();
    }
}

#[test]
fn a_chain_goes_on_across_runs_and_says_who_did_what() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, 1 << 20);
    written(&place);
    let end = verify(&place.file).unwrap().unwrap();
    assert_eq!((end.first, end.next, end.lines), (1, 5, 4));
    let text = fs::read_to_string(&place.file).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(line["n"], 2);
    assert_eq!(line["address"], "127.0.0.1");
    assert_eq!((&line["role"], &line["by"]), (&"admin".into(), &"key".into()));
    assert_eq!((&line["action"], &line["subject"]), (&"pause".into(), &"one".into()));
    assert_eq!(line["detail"], "again, \"quoted\"");
}

#[test]
fn whatever_is_changed_breaks_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, 1 << 20);
    written(&place);
    let good = fs::read_to_string(&place.file).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let altered = lines[1].replace("admin", "viewer");
    let cases = [
        ("a word", join(&[lines[0], &altered, lines[2], lines[3]]), 2),
        ("a line removed", join(&[lines[0], lines[2], lines[3]]), 2),
        ("two lines swapped", join(&[lines[1], lines[0], lines[2], lines[3]]), 2),
        ("a line twice", join(&[lines[0], lines[1], lines[1], lines[2]]), 3),
        ("no hash", join(&[lines[0], "{\"n\":2}"]), 2),
    ];
    for (what, text, line) in cases {
        fs::write(&place.file, text).unwrap();
        let broken = verify(&place.file).unwrap().expect_err(what);
        assert_eq!(broken.line, line, "{what}: {broken}");
        // It is continued, and says so.
        drop(Audit::open(place.clone()).unwrap());
        let text = fs::read_to_string(&place.file).unwrap();
        assert!(text.lines().last().unwrap().contains("chain-broken"), "{what}");
    }
    // What is no text at all is no reason to stop either.
    let mut bytes = good.clone().into_bytes();
    bytes[200] = 0xff;
    fs::write(&place.file, &bytes).unwrap();
    assert_eq!(verify(&place.file).unwrap().expect_err("no text").what, "it is no text");
    drop(Audit::open(place.clone()).unwrap());
    let after = fs::read(&place.file).unwrap();
    assert!(after.starts_with(&bytes) && String::from_utf8_lossy(&after).contains("chain-broken"));
    // The control: what is whole is held for whole.
    fs::write(&place.file, &good).unwrap();
    assert_eq!(verify(&place.file).unwrap().unwrap().lines, 4);
}

#[test]
fn files_are_put_aside_in_one_chain_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, 1_500);
    let audit = Audit::open(place.clone()).unwrap();
    for number in 0..6 {
        audit.write(&entry(&number.to_string())).unwrap();
    }
    let end = verify(&place.file).unwrap().unwrap();
    assert_eq!(end.lines, 6, "nothing was lost or written twice");
    for number in 6..40 {
        audit.write(&entry(&number.to_string())).unwrap();
        assert!(fs::metadata(&place.file).unwrap().len() <= 1_500);
    }
    assert_eq!(put_aside(&place.file).unwrap().len(), 3);
    let end = verify(&place.file).unwrap().unwrap();
    assert!(end.next == 41 && end.lines < 40, "{end:?}");
    drop(audit);
    assert!(Audit::open(place).is_ok(), "and it goes on");
}

#[test]
fn one_run_at_a_time_and_half_a_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder, 1 << 20);
    let audit = Audit::open(place.clone()).unwrap();
    audit.write(&entry("whole")).unwrap();
    assert!(matches!(Audit::open(place.clone()), Err(AuditError::Locked(_))));
    drop(audit);
    let mut file = append_to(&place.file).unwrap();
    file.write_all(b"{\"n\":2,\"ts\":\"20").unwrap();
    let audit = Audit::open(place.clone()).unwrap();
    audit.write(&entry("next")).unwrap();
    assert_eq!(verify(&place.file).unwrap().unwrap().lines, 2);
}
