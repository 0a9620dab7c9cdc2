//! Ends what llguidance works out without a bound of its own: text that must come, byte after byte.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use llguidance::CancellationHandle;

/// 100,000 bytes take half a second, and memory grows by 200 MB a second.
const LIMIT: Duration = Duration::from_secs(2);
/// How often the watch looks while there is work; else it sleeps until there is.
const TICK: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Running {
    work: BTreeMap<(Instant, u64), CancellationHandle>,
    num_begun: u64,
    watch_sleeps: bool,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    running: Mutex<Running>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread watches the work of all matchers over a vocabulary.
pub struct TimeLimit {
    shared: Arc<Shared>,
    watch: Option<thread::JoinHandle<()>>,
}

impl TimeLimit {
    pub fn new() -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        let builder = thread::Builder::new().name("grammar-limit".into());
        let watch = builder.spawn(move || watch(&watched)).map_err(|e| e.to_string())?;
        Ok(Self { shared, watch: Some(watch) })
    }

    /// Cancels `work` by its handle when it takes too long.
    pub fn hold<T>(&self, handle: &CancellationHandle, work: impl FnOnce() -> T) -> T {
        let key = {
            let mut running = self.shared.lock();
            running.num_begun += 1;
            let key = (Instant::now(), running.num_begun);
            running.work.insert(key, handle.clone());
            if std::mem::take(&mut running.watch_sleeps) {
                self.shared.wake.notify_one();
            }
            key
        };
        let result = work();
        self.shared.lock().work.remove(&key);
        result
    }
}

impl Drop for TimeLimit {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.wake.notify_one();
        if let Some(watch) = self.watch.take() {
            let _ = watch.join();
        }
    }
}

fn watch(shared: &Shared) {
    let mut running = shared.lock();
    while !running.is_over {
        running.watch_sleeps = running.work.is_empty();
        running = if running.watch_sleeps {
            shared.wake.wait(running).unwrap_or_else(PoisonError::into_inner)
        } else {
            shared.wake.wait_timeout(running, TICK).unwrap_or_else(PoisonError::into_inner).0
        };
        let late: Vec<_> = running.work.keys().take_while(|key| key.0.elapsed() > LIMIT).copied().collect();
        for key in late {
            if let Some(handle) = running.work.remove(&key) {
                handle.cancel();
            }
        }
    }
}
