//! Everything that can happen to a supervisor, brought into one queue.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::mpsc::Sender,
    thread,
};

use signal_hook::{consts, iterator::Signals};

use crate::{
    error::{Error, Result},
    protocol::{ToSupervisor, receive},
};

/// Whatever can wake the supervisor up.
#[derive(Debug)]
pub(crate) enum Event {
    FromStarter(ToSupervisor),
    StarterGone,
    Stop,
    ChildEnded,
    Control(UnixStream),
}

pub(crate) fn watch_signals(sender: &Sender<Event>) -> Result<()> {
    let wanted = [
        consts::SIGTERM,
        consts::SIGINT,
        consts::SIGHUP,
        consts::SIGCHLD,
    ];
    let mut signals = Signals::new(wanted).map_err(Error::io("watch for signals"))?;
    let sender = sender.clone();
    thread::spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                consts::SIGCHLD => Event::ChildEnded,
                consts::SIGHUP => continue, // A closed terminal does not end a cluster.
                _ => Event::Stop,
            };
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

pub(crate) fn watch_starter(sender: Sender<Event>) {
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            if let Some(message) = receive(&line)
                && sender.send(Event::FromStarter(message)).is_err()
            {
                return;
            }
        }
        let _ = sender.send(Event::StarterGone);
    });
}

pub(crate) fn watch_control(path: &Path, sender: Sender<Event>) -> Result<()> {
    let what = format!("listen on {}", path.display());
    let listener = UnixListener::bind(path).map_err(Error::io(what))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if sender.send(Event::Control(stream)).is_err() {
                return;
            }
        }
    });
    Ok(())
}
