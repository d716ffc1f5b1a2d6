use super::*;
use crate::fields::literal;

fn pairs(text: &str) -> Vec<(String, String)> {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    scan(bytes, span(0, bytes.len()), &mut fields);
    let at = |span: Span| {
        String::from_utf8_lossy(&bytes[span.start as usize..span.end as usize]).into_owned()
    };
    fields
        .iter()
        .map(|field| {
            let label = if field.label == Span::default() {
                String::from_utf8_lossy(literal(field.name)).into_owned()
            } else {
                at(field.label)
            };
            (label, at(field.value))
        })
        .collect()
}

fn expect(text: &str, wanted: &[(&str, &str)]) {
    let got = pairs(text);
    let got: Vec<(&str, &str)> = got
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(got, wanted, "{text}");
}

#[test]
fn plain_and_quoted_values() {
    expect(
        "arch=c000003e syscall=59 exit=-2 comm=\"a b\" exe=2F62  key=(null)",
        &[
            ("arch", "c000003e"),
            ("syscall", "59"),
            ("exit", "-2"),
            ("comm", "a b"),
            ("exe", "2F62"),
            ("key", "(null)"),
        ],
    );
    expect("a=\"unclosed b=1", &[("a", "\"unclosed"), ("b", "1")]);
    expect("a= b=", &[("a", ""), ("b", "")]);
    expect("=x a=1", &[("message", "=x"), ("a", "1")]);
}

#[test]
fn messages_within_messages() {
    expect(
        "pid=1 uid=0 msg='op=PAM:auth grantors=? acct=\"x\" res=failed'",
        &[
            ("pid", "1"),
            ("uid", "0"),
            ("op", "PAM:auth"),
            ("grantors", "?"),
            ("acct", "x"),
            ("res", "failed"),
        ],
    );
    expect(
        "pid=1 msg='it isn't acct='odd one' exe=\"/x\" res=success' extra=2",
        &[
            ("pid", "1"),
            ("message", "it isn't"),
            ("acct", "'odd one'"),
            ("exe", "/x"),
            ("res", "success"),
            ("extra", "2"),
        ],
    );
    expect(
        "user pid=1 msg='PAM: accounting acct=\"root\" : exe=\"/x\" (hostname=?, addr=?, res=success)'",
        &[
            ("message", "user"),
            ("pid", "1"),
            ("message", "PAM: accounting"),
            ("acct", "root"),
            ("exe", "/x"),
            ("hostname", "?"),
            ("addr", "?"),
            ("res", "success"),
        ],
    );
}

#[test]
fn access_vectors() {
    expect(
        "avc:  denied  { read write } for  pid=7 comm=\"x\" tclass=file permissive=0",
        &[
            ("seresult", "denied"),
            ("seperms", "read write"),
            ("pid", "7"),
            ("comm", "x"),
            ("tclass", "file"),
            ("permissive", "0"),
        ],
    );
    expect(
        "pid=1 msg='avc:  denied  { send_msg } for msgtype=call dest=a'",
        &[
            ("pid", "1"),
            ("seresult", "denied"),
            ("seperms", "send_msg"),
            ("msgtype", "call"),
            ("dest", "a"),
        ],
    );
}

#[test]
fn words_without_a_name() {
    expect("op=add rule list=4", &[("op", "add rule"), ("list", "4")]);
    expect("SADDR=unknown family(0)", &[("SADDR", "unknown family(0)")]);
    expect(
        "SADDR={ saddr_fam=inet laddr=1.2.3.4 lport=80 } X=1",
        &[
            ("SADDR", "{ saddr_fam=inet laddr=1.2.3.4 lport=80 }"),
            ("X", "1"),
        ],
    );
    expect("initialized", &[("message", "initialized")]);
}

#[test]
fn names_in_capitals() {
    let text = b"ARCH=x86_64 SYSCALL=openat AUID=\"unset\" UID=\"root\" MSG='a b' OLD_AUID=\"x\" \xc1UID=1";
    let (mut small, mut capital) = (Vec::new(), Vec::new());
    scan_capitals(text, span(0, text.len()), &mut capital);
    for field in &capital {
        let label = &text[field.label.start as usize..field.label.end as usize];
        let known = literal(field.name);
        assert!(known.is_empty() || known.eq_ignore_ascii_case(label));
        small.push(field.name);
    }
    assert_eq!(
        small[..4],
        [name::ARCH, name::SYSCALL, name::AUID, name::UID]
    );
}

#[test]
fn known_texts_have_the_same_fields_wherever_they_stand() {
    let bytes = b"item=0 name=\"a\" stray inode=5  item=0 name=\"a\" stray inode=5";
    let mut known = Known::default();
    let (mut again, mut anew) = (Vec::new(), Vec::new());
    for at in [
        span(0, 30),
        span(32, 62),
        span(0, 30),
        span(32, 60),
        span(5, 5),
    ] {
        known.scan(bytes, at, &mut again);
        scan(bytes, at, &mut anew);
        assert_eq!(format!("{again:?}"), format!("{anew:?}"));
    }
}
