use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::certs::{Names, issue};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("insitu-files-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names() -> Names {
    Names {
        service: "door".into(),
        namespace: "shop".into(),
    }
}

fn leaf(authority: &Pair) -> Pair {
    let now = Timestamp::now();
    issue::leaf(now, now + DAY, &names(), authority).unwrap()
}

fn files(folder: &Folder) -> Files {
    let identity = Arc::new(Identity::default());
    let server_name = names().server_name();
    Files {
        folder: folder.0.clone(),
        readiness: Arc::new(Readiness::new(Arc::clone(&identity), server_name)),
        metrics: Metrics::new(Arc::clone(&identity)),
        identity,
    }
}

fn failures(files: &Files) -> u64 {
    let text = files.metrics.encode().unwrap();
    let name = "insitu_webhook_certificate_failures_total ";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

#[test]
fn files_are_taken_over_and_so_is_their_successor() {
    let authority = issue::authority(Timestamp::now(), DAY).unwrap();
    let (first, second) = (leaf(&authority), leaf(&authority));
    let folder = Folder::new("rotation");
    let files = files(&folder);
    let nothing = files.look(None);
    assert!(nothing.is_err() && !files.identity.is_set());
    folder.write(BUNDLE, &authority.certificate);
    folder.write(LEAF, &first.certificate);
    folder.write(LEAF_KEY, &first.key);
    let seen = files.look(Some(&nothing));
    assert!(seen.is_ok());
    assert_eq!(files.readiness.ask(Timestamp::now()), Ok(()));
    let seen = files.look(Some(&seen));
    assert_eq!(files.identity.changes(), 1);
    folder.write(LEAF, &second.certificate);
    folder.write(LEAF_KEY, &second.key);
    assert!(files.look(Some(&seen)).is_ok());
    assert_eq!(files.identity.changes(), 2);
}

#[test]
fn broken_and_half_written_files_change_nothing_and_are_told_once() {
    let authority = issue::authority(Timestamp::now(), DAY).unwrap();
    let (first, second) = (leaf(&authority), leaf(&authority));
    let folder = Folder::new("broken");
    let files = files(&folder);
    let good = |pair: &Pair| {
        folder.write(BUNDLE, &authority.certificate);
        folder.write(LEAF, &pair.certificate);
        folder.write(LEAF_KEY, &pair.key);
    };
    good(&first);
    let mut last = Some(files.look(None));
    let shown = files.identity.leaf();
    let half = &second.certificate[..second.certificate.len() / 2];
    let broken = [
        (LEAF, second.certificate.as_str()),
        (LEAF, half),
        (LEAF, ""),
        (LEAF_KEY, "no key"),
        (BUNDLE, ""),
        (BUNDLE, &first.certificate),
    ];
    for (told, (name, text)) in (1..).zip(broken) {
        folder.write(name, text);
        for _ in 0..3 {
            last = Some(files.look(last.as_ref()));
            assert!(last.as_ref().unwrap().is_err(), "{name}: {text}");
        }
        assert_eq!(files.identity.leaf(), shown, "{name}: {text}");
        assert_eq!(failures(&files), told, "{name}: {text}");
        good(&first);
        last = Some(files.look(last.as_ref()));
        assert!(last.as_ref().unwrap().is_ok());
    }
    fs::remove_file(folder.0.join(LEAF_KEY)).unwrap();
    let gone = files.look(last.as_ref());
    assert!(gone.unwrap_err().contains(LEAF_KEY));
    assert_eq!(files.identity.leaf(), shown);
    assert_eq!(files.readiness.ask(Timestamp::now()), Ok(()));
}
