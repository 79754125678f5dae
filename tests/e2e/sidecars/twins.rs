//! Twins of a hot sidecar hand over to one another, on a real kubelet, and a client asks all the
//! while.

use std::sync::Arc;

use apis::SidecarSet;
use futures::StreamExt;
use harness::shop::{container, image};
use harness::{Shop, Stage, eventually};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, PostParams};
use kube::runtime::watcher::{self, Event};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::updates::{NEW_LOG, change, counts, lives};
use super::{apply, pod, ready, sidecar_set};

const OLD: &str = "docker.io/local/log:v1";
const IDLE: &str = "docker.io/local/pause:1";

/// What the images of a sidecar do that hands over: the twin that idles does nothing, the one that
/// works answers with its version and that of the twin that worked before. It takes the port over
/// as soon as that one lets go of it.
const TWIN: &str = r#"
trap 'kill $child; exit 0' TERM INT
while [ "$SIDECARSET_VERSION" = 0 ]; do sleep 86400 & child=$!; wait $child; done
busybox mkdir -p /tmp/www
echo "$(cat /etc/version) $SIDECARSET_VERSION $SIDECARSET_VERSION_ALT" > /tmp/www/twin
while :; do httpd -f -p 8080 -h /tmp/www & child=$!; wait $child; sleep 0.05; done
"#;
const IS_READY: &str = r#"[ "$SIDECARSET_VERSION" = 0 ] || [ -e /tmp/www/twin ]"#;
/// The app: it asks its sidecar again and again, and says what it heard. One process for each
/// question: on a busy machine more would make them rare.
const APP: &str = r#"
trap 'exit 0' TERM INT
printf 'GET /twin HTTP/1.0\r\n\r\n' > /tmp/ask
while :; do
  heard=$(nc -w 1 127.0.0.1 8080 < /tmp/ask 2>/dev/null)
  case $heard in
    *log*) echo "${heard##*
}" ;;
    *) echo nothing ;;
  esac
  sleep 0.02
done
"#;
/// For so long the app may be without a sidecar.
const GAP_MAX: SignedDuration = SignedDuration::from_secs(1);

fn shell(script: &str) -> Value {
    json!(["/bin/sh", "-c", script])
}

fn hot(image: &str) -> Value {
    json!([{"name": "agent", "image": image, "imagePullPolicy": "IfNotPresent",
        "command": shell(TWIN),
        "readinessProbe": {"exec": {"command": shell(IS_READY)}, "periodSeconds": 1},
        "upgradeStrategy": {"upgradeType": "HotUpgrade", "hotUpgradeEmptyImage": IDLE}}])
}

fn hot_set(shop: &Shop) -> Value {
    let mut set = sidecar_set(shop);
    set["spec"]["containers"] = hot(OLD);
    let spec = set["spec"].as_object_mut().expect("a spec");
    spec.remove("initContainers");
    set
}

/// A Pod whose app asks its sidecar.
fn asking() -> Pod {
    let mut pod = pod("bare");
    let spec = pod.spec.as_mut().expect("a spec");
    let app = spec.containers.first_mut().expect("an app");
    app.command = Some(vec!["/bin/sh".into(), "-c".into(), APP.into()]);
    pod
}

/// Whether a twin with a real image runs and is ready.
fn has_a_working_twin(pod: &Pod) -> bool {
    let status = pod.status.clone().unwrap_or_default();
    let mut all = status.container_statuses.into_iter().flatten();
    all.any(|s| s.name.starts_with("agent-") && s.ready && s.image.contains("/log:"))
}

/// Watches every event of the Pod called `bare` until it is dropped; what it counts is events, and
/// those without a working twin.
fn watch_twins(pods: Api<Pod>) -> (JoinHandle<()>, Arc<Mutex<(usize, usize)>>) {
    let counts = Arc::new(Mutex::new((0, 0)));
    let counted = Arc::clone(&counts);
    let task = tokio::spawn(async move {
        let config = watcher::Config::default().fields("metadata.name=bare");
        let mut events = std::pin::pin!(watcher::watcher(pods, config));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event {
                let mut counted = counted.lock();
                counted.0 += 1;
                counted.1 += usize::from(!has_a_working_twin(&pod));
            }
        }
    });
    (task, counts)
}

/// What the app heard, and when.
#[derive(Debug)]
struct Heard {
    at: Timestamp,
    words: String,
}

fn heard(stage: &Stage, shop: &Shop) -> Vec<Heard> {
    let logs = [
        "-n",
        &shop.namespace,
        "logs",
        "bare",
        "-c",
        "main",
        "--timestamps",
    ];
    let logs = stage.cluster.kubectl(&logs).expect("logs");
    let line = |line: &str| {
        let (at, words) = line.split_once(' ')?;
        let (at, words) = (at.parse().ok()?, words.to_owned());
        Some(Heard { at, words })
    };
    logs.lines().filter_map(line).collect()
}

/// Waits until the app has heard from a twin of this version.
async fn until_heard(stage: &Stage, shop: &Shop, version: &str) -> String {
    eventually(&format!("the app hears from {version}"), async || {
        let last = heard(stage, shop).pop().ok_or("nothing so far")?.words;
        last.starts_with(version).then(|| last.clone()).ok_or(last)
    })
    .await
}

/// Asserts that from the first answer on the app was never for a second without one, that it asked
/// often enough to know, and that answers were those of the twins `in_turn`.
fn nobody_was_missing(heard: &[Heard], in_turn: &[&str]) {
    let mut answers = heard.iter().filter(|heard| heard.words.starts_with("log"));
    let first = answers.next().expect("an answer");
    let (mut turns, mut last, mut longest) = (vec![&*first.words], first.at, SignedDuration::ZERO);
    for answer in answers {
        longest = longest.max(answer.at.duration_since(last));
        last = answer.at;
        if turns.last() != Some(&&*answer.words) {
            turns.push(&answer.words);
        }
    }
    let asked = heard
        .iter()
        .filter(|heard| (first.at..=last).contains(&heard.at));
    let (asked, time) = (asked.count(), last.duration_since(first.at));
    eprintln!("{asked} questions in {time:#}, {longest:#} without an answer at most: {turns:?}");
    assert_eq!(turns, in_turn);
    assert!(longest < GAP_MAX, "nobody answered for {longest:#}");
    let enough = usize::try_from(time.as_millis() / 200).expect("a short time");
    assert!(asked >= enough, "{asked} questions in {time:#}");
}

/// Waits until a new Pod would be given twins.
async fn until_twins(shop: &Shop) {
    eventually("new Pods have twins", async || {
        let made = shop.would_be(&pod("asked")).await?;
        (!image(&made, "agent-2").is_empty())
            .then_some(())
            .ok_or_else(|| format!("{:?}", made.spec))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_sidecar_hands_over_to_its_twin() {
    let (stage, client, shop) = crate::shop("twins").await;
    let _alone = stage.alone().await;
    let name = shop.namespace.clone();
    let sets: Api<SidecarSet> = Api::all(client.clone());
    apply(stage, &hot_set(&shop));
    until_twins(&shop).await;
    let made = shop.pods.create(&PostParams::default(), &asking()).await;
    let before = made.expect("a Pod");
    let twins = |pod: &Pod| ["agent-1", "agent-2"].map(|twin| image(pod, twin));
    assert_eq!(twins(&before), [OLD, IDLE]);
    let before = ready(&shop, "bare").await;
    counts(&sets, &name, 1, 1).await;
    let first = until_heard(stage, &shop, "log1").await;
    assert_eq!(first, "log1 1 0");

    let (watch, seen) = watch_twins(shop.pods.clone());
    eventually("the watch sees the Pod", async || {
        (seen.lock().0 > 0)
            .then_some(())
            .ok_or_else(|| "not yet".to_owned())
    })
    .await;
    change(&sets, &name, &json!({"containers": hot(NEW_LOG)})).await;
    counts(&sets, &name, 1, 1).await;
    let (events, without) = *seen.lock();
    watch.abort();
    assert!(events > 3, "{events} events");
    assert_eq!(without, 0, "of {events} events");
    let after = ready(&shop, "bare").await;
    assert_eq!(twins(&after), [IDLE, NEW_LOG]);
    assert_eq!(after.uid(), before.uid());
    assert_eq!(
        lives(&before, &["main", "log"]),
        lives(&after, &["main", "log"])
    );
    let since = |name: &str| {
        let running = container(&after, name)
            .state
            .and_then(|state| state.running);
        running
            .and_then(|running| running.started_at)
            .expect("a time")
            .0
    };
    assert!(
        since("agent-2") <= since("agent-1"),
        "the new twin came first"
    );
    let working = "kruise.io/sidecarset-working-hotupgrade-container";
    assert_eq!(after.annotations()[working], r#"{"agent":"agent-2"}"#);

    let second = until_heard(stage, &shop, "log2").await;
    // It was told of whom it took over from.
    assert!(second.ends_with(" 1"), "{second}");
    nobody_was_missing(&heard(stage, &shop), &[&first, &second]);

    // The way back. Bug: commands with characters of HTML in them, as these have, could not return.
    change(&sets, &name, &json!({"containers": hot(OLD)})).await;
    counts(&sets, &name, 1, 1).await;
    let third = until_heard(stage, &shop, "log1").await;
    nobody_was_missing(&heard(stage, &shop), &[&first, &second, &third]);

    let delete = ["delete", "sidecarset", &name];
    stage.cluster.kubectl(&delete).expect("a deleted set");
    shop.close().await;
}
