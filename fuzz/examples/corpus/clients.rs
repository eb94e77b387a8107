//! Messages of the client protocol, in both directions.

use std::time::Duration;

use fuzz::Frames;
use model::DataType;
use wire::query::{
    Answer, AnswerStatus, Connected, Dialect, HIGH_PERF_MARK, Input, Lineage, QueryRequest, Timing,
    encode_connect,
};

use crate::{Seeds, message};

/// The first byte selects the target's decoder: connect, its reply, request, answer.
pub(crate) fn messages() -> Seeds {
    let mut connect = Frames::new();
    encode_connect(&mut connect);
    let mut seeds = message("native_connect", 0, &connect);
    seeds.extend(message(
        "high_perf_connect",
        0,
        &vec![vec![], HIGH_PERF_MARK.to_vec()],
    ));
    seeds.extend(message("2017_connect", 0, &vec![vec![], vec![]]));
    let mut reply = Frames::new();
    let connected = Connected {
        session: 77,
        client_id: 1,
    };
    connected.encode(Dialect::Native, &mut reply);
    seeds.extend(message("native_connected", 1, &reply));

    for (name, size) in [("small", 8), ("large", Input::<Vec<u8>>::SEPARATE_FROM)] {
        let input = vec![7; size];
        let request = QueryRequest {
            session: Some(77),
            client_id: 1,
            request_id: 2,
            app: "lgbm",
            input_type: DataType::Floats,
            deadline: Some(Duration::from_millis(20)),
            input: Input::Frame(&input),
        };
        let mut frames = Frames::new();
        request.encode(&mut frames);
        seeds.extend(message(&format!("native_{name}_request"), 2, &frames));
        let numbers = [1_u32, 2].map(|number| number.to_le_bytes().to_vec());
        let [client, id] = numbers;
        let count = (size as u32 / 4).to_le_bytes().to_vec();
        let code = DataType::Floats.code().to_le_bytes().to_vec();
        let frames = vec![
            vec![],
            client,
            id,
            b"lgbm".to_vec(),
            code,
            count,
            input.clone(),
        ];
        seeds.extend(message(&format!("2017_{name}_request"), 2, &frames));

        let answer = Answer {
            session: 77,
            request_id: 2,
            status: AnswerStatus::Default,
            reason: "no replica",
            output_type: DataType::Floats,
            output: &input,
            timing: Timing {
                batch_size: 4,
                queued: 5,
                away: 6,
                ..Timing::default()
            },
            lineage: Lineage::default(),
        };
        let mut frames = Frames::new();
        answer.encode(Dialect::Native, &mut frames);
        seeds.extend(message(&format!("native_{name}_answer"), 3, &frames));
    }
    seeds
}
