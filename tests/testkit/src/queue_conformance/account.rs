//! Enrolment, tokens, trust bundle, uploads: what is remembered.

use super::*;

/// What was saved is read back, also after a restart.
pub fn enrolment_session_and_bundle_are_kept(under: &mut dyn QueueUnderTest) {
    assert_eq!(under.queue().enrolment().unwrap(), None);
    assert_eq!(under.queue().session().unwrap(), None);
    assert_eq!(under.queue().trust_bundle().unwrap(), None);
    assert!(matches!(under.queue().save_session(Some(&session())), Err(QueueError::Missing { .. })));
    under.queue().save_session(None).unwrap();
    under.queue().save_enrolment(&enrolment(1), b"bundle one").unwrap();
    under.queue().save_session(Some(&session())).unwrap();
    under.die_and_reopen();
    assert_eq!(under.queue().enrolment().unwrap(), Some(enrolment(1)));
    assert_eq!(under.queue().session().unwrap(), Some(session()));
    under.queue().save_trust_bundle(b"bundle two", Sha256Digest([3; 32])).unwrap();
    assert_eq!(under.queue().trust_bundle().unwrap().unwrap(), b"bundle two");
    assert_eq!(under.queue().enrolment().unwrap().unwrap().trust_root, Sha256Digest([3; 32]));
    assert_eq!(under.queue().session().unwrap(), Some(session()));
    under.queue().save_session(None).unwrap();
    assert_eq!(under.queue().session().unwrap(), None);
    assert!(under.queue().enrolment().unwrap().is_some());
}

/// That the app gives the tokens is a session like another, in whose place none is kept.
pub fn a_session_of_the_app_takes_the_place_of_tokens(under: &mut dyn QueueUnderTest) {
    let queue = |under: &dyn QueueUnderTest| under.queue().session().unwrap();
    let provided = SavedSession::Provided;
    assert!(matches!(under.queue().save_session(Some(&provided)), Err(QueueError::Missing { .. })));
    under.queue().save_enrolment(&enrolment(1), b"bundle").unwrap();
    under.queue().save_session(Some(&session())).unwrap();
    under.queue().save_session(Some(&provided)).unwrap();
    under.die_and_reopen();
    assert_eq!(queue(under), Some(provided.clone()));
    under.queue().save_enrolment(&enrolment(1), b"bundle").unwrap();
    assert_eq!(queue(under), Some(provided.clone()));
    under.queue().save_enrolment(&enrolment(2), b"bundle").unwrap();
    assert_eq!(queue(under), None, "it spoke for another account");
    under.queue().save_session(Some(&provided)).unwrap();
    under.queue().save_session(None).unwrap();
    assert_eq!(queue(under), None);
    under.queue().save_session(Some(&provided)).unwrap();
    under.queue().save_session(Some(&session())).unwrap();
    assert_eq!(queue(under), Some(session()));
}

/// A session belongs to its account.
pub fn a_session_of_another_account_goes(under: &mut dyn QueueUnderTest) {
    under.queue().save_enrolment(&enrolment(1), b"bundle").unwrap();
    under.queue().save_session(Some(&session())).unwrap();
    under.queue().save_enrolment(&enrolment(1), b"bundle").unwrap();
    assert_eq!(under.queue().session().unwrap(), Some(session()));
    under.queue().save_enrolment(&enrolment(2), b"bundle").unwrap();
    assert_eq!(under.queue().session().unwrap(), None);
}

/// A begun upload survives a restart, and goes when the piece must be sent again.
pub fn uploads_are_remembered_and_forgotten(under: &mut dyn QueueUnderTest) {
    let added = under.add(&[100, 100]);
    enrol(under);
    let upload = |number: u8| Upload {
        url: format!("https://api.example/v1/uploads/{number}"),
        capability: Secret::new(vec![number; 40]),
        expires: UnixMs(i64::from(number)),
    };
    assert_eq!(under.queue().upload(added.asset_id, 0).unwrap(), None);
    under.queue().save_upload(added.asset_id, 0, Some(&upload(1))).unwrap();
    under.queue().save_upload(added.asset_id, 1, Some(&upload(2))).unwrap();
    under.die_and_reopen();
    assert_eq!(under.queue().upload(added.asset_id, 0).unwrap(), Some(upload(1)));
    under.queue().save_upload(added.asset_id, 0, None).unwrap();
    assert_eq!(under.queue().upload(added.asset_id, 0).unwrap(), None);
    send_all(under);
    under.queue().send_again(added.asset_id, Some(&[0]), now(under)).unwrap();
    assert_eq!(under.queue().upload(added.asset_id, 1).unwrap(), Some(upload(2)));
    under.queue().send_again(added.asset_id, None, now(under)).unwrap();
    assert_eq!(under.queue().upload(added.asset_id, 1).unwrap(), None);
}
