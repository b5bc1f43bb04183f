//! Watchers as the languages hold them: one call that waits, one that ends it, the store's end.
#![allow(clippy::unwrap_used)]

use snaptrak_ffi::{
    Config, EventKind, KeyClass, KeyStore, KeyStoreFailure, SnapTrak, SnapTrakError, WrappedKeys, window,
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::runtime::Builder;

/// Wraps nothing: what is tested here holds no secret.
struct Open;

impl KeyStore for Open {
    fn wrap(&self, _: KeyClass, keys: Vec<u8>, _: Vec<u8>) -> Result<WrappedKeys, KeyStoreFailure> {
        Ok(WrappedKeys { parameters_json: r#"{"kind":"test"}"#.to_owned(), sealed: keys })
    }

    fn unwrap(&self, _: KeyClass, wrapped: WrappedKeys, _: Vec<u8>) -> Result<Vec<u8>, KeyStoreFailure> {
        Ok(wrapped.sealed)
    }
}

fn config(store: &tempfile::TempDir) -> Config {
    Config {
        store: store.path().join("store").display().to_string(),
        models: None,
        runtime_library: None,
        tflite_library: None,
        models_quota_bytes: 1 << 30,
        trusted_roots_pem: None,
        threads: 1,
        device_name: "device".to_owned(),
        quota_bytes: None,
        quota_is_hard: false,
        ballast_bytes: 0,
        device_build: None,
        last_exit: None,
        runtime_providers: Vec::new(),
        tflite_accelerators: None,
        tflite_npu: None,
        model_bytes_max: None,
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().build().unwrap().block_on(work)
}

fn waits<T>(call: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    call.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn with_store(test: impl AsyncFnOnce(Arc<SnapTrak>) -> Result<(), SnapTrakError>) {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let instance = SnapTrak::create(config(&folder), Arc::new(Open), None, None).await.unwrap();
        test(Arc::clone(&instance)).await.unwrap();
        instance.shutdown().await.unwrap();
    });
}

#[test]
fn what_is_stopped_waits_no_longer_and_tells_nothing_more() {
    with_store(async |instance| {
        let (events, queue) = (instance.watch_events()?, Arc::clone(&instance).watch_queue()?);
        assert_eq!(queue.next().await?.map(|health| health.waiting), Some(0));
        let (mut event, mut health) = (pin!(events.next()), pin!(queue.next()));
        assert!(waits(event.as_mut()) && waits(health.as_mut()));
        events.stop()?;
        queue.stop()?;
        assert_eq!((event.await?, health.await?), (None, None));
        instance.note("nobody is told".to_owned(), None).await?;
        assert_eq!((events.next().await?, queue.next().await?), (None, None));
        events.stop()
    });
}

#[test]
fn a_wait_that_is_given_up_takes_nothing_with_it() {
    with_store(async |instance| {
        let (events, queue) = (instance.watch_events()?, Arc::clone(&instance).watch_queue()?);
        queue.next().await?;
        for _ in 0..3 {
            assert!(waits(pin!(events.next())) && waits(pin!(queue.next())));
        }
        let noted = instance.note("told once".to_owned(), None).await?;
        let told = events.next().await?.unwrap();
        let [event] = &told.events[..] else { panic!("one note is one event: {told:?}") };
        assert_eq!((event.kind, &event.capture_id, told.missed), (EventKind::Added, &noted.id, false));
        assert_eq!(queue.next().await?.map(|health| health.waiting), Some(1));
        Ok(())
    });
}

#[test]
fn the_shutdown_tells_what_is_left_and_then_the_end() {
    with_store(async |instance| {
        let (events, queue) = (instance.watch_events()?, Arc::clone(&instance).watch_queue()?);
        let noted = instance.note("the last one".to_owned(), None).await?;
        let findings = Arc::clone(&instance).watch_findings(noted.id.clone()).await?;
        assert_eq!(findings.next().await?, Some(Vec::new()));
        let mut found = pin!(findings.next());
        assert!(waits(found.as_mut()));
        instance.shutdown().await?;
        assert_eq!(found.await?, None);
        assert_eq!(events.next().await?.map(|told| told.events.len()), Some(1));
        assert_eq!((events.next().await?, queue.next().await?), (None, None));
        let refused = Arc::clone(&instance).watch_findings(noted.id).await.err();
        assert!(matches!(refused, Some(SnapTrakError::Refused { ref code, .. }) if code == "cancelled"), "{refused:?}");
        Ok(())
    });
}

#[test]
fn the_threads_of_calls_are_counted() {
    with_store(async |instance| {
        window::idle(&instance).await?;
        assert!(window::call_threads() > 0);
        Ok(())
    });
}

#[test]
fn a_rehearsal_is_told_like_a_commit() {
    with_store(async |instance| {
        let events = instance.watch_events()?;
        let mut waiting = pin!(events.next());
        assert!(waits(waiting.as_mut()));
        let noted = instance.note("it happened".to_owned(), None).await?;
        let Poll::Ready(Ok(Some(told))) = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("nothing was told")
        };
        let again = snaptrak::StoreEvent {
            kind: snaptrak::EventKind::StateChanged,
            capture_id: noted.id.parse().unwrap(),
            asset_id: noted.asset_id.parse().unwrap(),
            rendition: snaptrak::Rendition::Original,
            state: snaptrak::AssetState::Sending,
        };
        window::rehearse(&instance, vec![again]);
        let rehearsed = events.next().await?.unwrap();
        assert_eq!(told.events[0].asset_id, rehearsed.events[0].asset_id);
        assert_eq!(rehearsed.events[0].kind, EventKind::StateChanged);
        Ok(())
    });
}
