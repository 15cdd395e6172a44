//! What is wrong with a consumer's configuration, and what is set to its default
//! without a word: code, text and result as `nats-server` 2.15.1 gave them.

mod common;

use common::Rig;

#[test]
fn mistakes_have_the_originals_codes_and_texts() {
    let mut rig = Rig::new();
    rig.stream("T", "\"subjects\":[\"t.>\"]");
    for (fields, code, err_code, text) in [
        (
            r#""ack_policy":"explicit","backoff":[-1]"#,
            400,
            10184,
            "consumer backoff needs to be positive",
        ),
        (
            r#""sample_freq":"abc""#,
            400,
            10095,
            r#"failed to parse consumer sampling configuration: strconv.Atoi: parsing "abc": invalid syntax"#,
        ),
        (r#""rate_limit_bps":5"#, 400, 10086, "consumer in pull mode can not have rate limit set"),
        (
            r#""flow_control":true"#,
            400,
            10089,
            "consumer flow control requires a push based consumer",
        ),
        (
            r#""deliver_subject":"z","max_waiting":4"#,
            400,
            10080,
            "consumer in push mode can not set max waiting",
        ),
        (
            r#""deliver_subject":"z","idle_heartbeat":5"#,
            400,
            10083,
            "consumer idle heartbeat needs to be >= 100ms",
        ),
        (r#""deliver_subject":"z..y""#, 400, 10112, "invalid push consumer deliver subject"),
        (r#""filter_subject":"zz..z""#, 500, 10052, "invalid subject"),
        (
            r#""filter_subjects":[""]"#,
            400,
            10139,
            "consumer filter in FilterSubjects cannot be empty",
        ),
        (
            r#""opt_start_seq":4"#,
            400,
            10094,
            "consumer delivery policy is deliver all, but optional start sequence is also set",
        ),
        (
            r#""opt_start_time":"2026-01-01T00:00:00Z""#,
            400,
            10094,
            "consumer delivery policy is deliver all, but optional start time is also set",
        ),
        (
            r#""deliver_policy":"last_per_subject""#,
            400,
            10094,
            "consumer delivery policy is deliver last per subject, but optional filter subject is not set",
        ),
        (
            r#""deliver_policy":"by_start_time""#,
            400,
            10094,
            "consumer delivery policy is deliver by start time, but optional start time is not set",
        ),
        (
            r#""deliver_policy":"by_start_time","opt_start_time":"bad""#,
            400,
            10025,
            r#"invalid JSON: parsing time "bad" as "2006-01-02T15:04:05Z07:00": cannot parse "bad" as "2006""#,
        ),
        (
            r#""durable_name":"a.b""#,
            400,
            10017,
            "consumer name in subject does not match durable name in request",
        ),
        (r#""num_replicas":3"#, 500, 10074, "replicas > 1 not supported in non-clustered mode"),
        (r#""replay_policy":"odd""#, 400, 10025, r#"invalid JSON: can not unmarshal "\"odd\"""#),
        (r#""unknown":1"#, 400, 10025, r#"invalid JSON: json: unknown field "unknown""#),
    ] {
        let body = format!("{{\"stream_name\":\"T\",\"config\":{{\"name\":\"c\",{fields}}}}}");
        let answer = rig.api_value("CONSUMER.CREATE.T.c", &body);
        let error = &answer["error"];
        assert_eq!(error["description"], text, "{fields}");
        assert_eq!(
            (&error["code"], &error["err_code"]),
            (&code.into(), &err_code.into()),
            "{fields}"
        );
    }
}

#[test]
fn values_that_make_no_sense_become_the_default() {
    let mut rig = Rig::new();
    rig.stream("T", "\"subjects\":[\"t.>\"]");
    for (fields, key, value) in [
        ("\"max_waiting\":-1", "max_waiting", Some(512)),
        ("\"max_ack_pending\":-5", "max_ack_pending", Some(-1)),
        ("\"ack_policy\":\"explicit\",\"max_ack_pending\":-9", "max_ack_pending", Some(-1)),
        ("\"ack_policy\":\"explicit\"", "max_ack_pending", Some(1_000)),
        ("\"max_deliver\":-7", "max_deliver", Some(-1)),
        ("\"max_batch\":-4", "max_batch", None),
        ("\"max_expires\":-3", "max_expires", None),
        ("\"max_bytes\":-3", "max_bytes", None),
        ("\"inactive_threshold\":-5", "inactive_threshold", Some(5_000_000_000_i64)),
    ] {
        let body = format!("{{\"stream_name\":\"T\",\"config\":{{\"name\":\"c\",{fields}}}}}");
        let answer = rig.api_value("CONSUMER.CREATE.T.c", &body);
        assert_eq!(answer["config"][key].as_i64(), value, "{fields}: {answer}");
        rig.api("CONSUMER.DELETE.T.c", "");
    }
    // A filter that the stream does not listen to is taken, and waits.
    rig.consumer("T", "c", "\"filter_subject\":\"other.x\"");
}
