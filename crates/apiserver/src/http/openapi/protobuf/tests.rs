use serde_json::json;

use super::*;

/// A field as it is read: number and text of its bytes, or its number.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    Number(u64),
    Bytes(Vec<u8>),
}

fn read(mut body: &[u8]) -> Vec<(u64, Read)> {
    let take = |body: &mut &[u8]| {
        let (mut value, mut shift) = (0, 0);
        loop {
            let (byte, rest) = body.split_first().expect("more bytes");
            *body = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    let mut fields = Vec::new();
    while !body.is_empty() {
        let tag = take(&mut body);
        let read = match tag & 7 {
            VARINT => Read::Number(take(&mut body)),
            BYTES => {
                let length = usize::try_from(take(&mut body)).expect("a length");
                let (bytes, rest) = body.split_at(length);
                body = rest;
                Read::Bytes(bytes.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, read));
    }
    fields
}

/// The first field that the numbers lead to.
fn at(body: &[u8], path: &[u64]) -> Vec<u8> {
    path.iter().fold(body.to_vec(), |body, number| {
        let found = read(&body).into_iter().find(|(known, _)| known == number);
        let Some((_, Read::Bytes(bytes))) = found else { panic!("no field {number} in {:?}", read(&body)) };
        bytes
    })
}

#[test]
fn schemas_have_their_numbers() {
    let body = encode(&json!({"swagger": "2.0", "definitions": {"io.k8s.Thing": {
        "type": "object",
        "additionalProperties": {"$ref": "#/definitions/io.k8s.Other"},
        "x-kubernetes-group-version-kind": [{"group": "", "kind": "Thing", "version": "v1"}],
    }}}));
    assert_eq!(at(&body, &[1]), b"2.0");
    assert_eq!(at(&body, &[9, 1, 1]), b"io.k8s.Thing");
    let schema = at(&body, &[9, 1, 2]);
    assert_eq!(at(&schema, &[22, 1]), b"object");
    assert_eq!(at(&schema, &[21, 1, 1]), b"#/definitions/io.k8s.Other");
    assert_eq!(at(&schema, &[31, 1]), b"x-kubernetes-group-version-kind");
    assert_eq!(at(&schema, &[31, 2, 2]), b"[{\"group\":\"\",\"kind\":\"Thing\",\"version\":\"v1\"}]\n");
}

#[test]
fn operations_have_their_numbers() {
    let body = encode(&json!({"paths": {"/api/v1/things": {"post": {
        "parameters": [
            {"$ref": "#/parameters/pretty"},
            {"in": "body", "name": "body", "required": true, "schema": {"$ref": "#/definitions/T"}},
            {"in": "query", "name": "dryRun", "type": "string", "uniqueItems": true},
        ],
        "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/T"}}},
    }}}}));
    assert_eq!(at(&body, &[8, 2, 1]), b"/api/v1/things");
    let post = at(&body, &[8, 2, 2, 4]);
    let parameters: Vec<Vec<u8>> = read(&post)
        .into_iter()
        .filter_map(|(number, read)| match read {
            Read::Bytes(bytes) if number == 8 => Some(bytes),
            _ => None,
        })
        .collect();
    let [reference, in_body, in_query] = &parameters[..] else { panic!("three parameters") };
    assert_eq!(at(reference, &[2, 1]), b"#/parameters/pretty");
    assert_eq!(at(in_body, &[1, 1, 2]), b"body");
    assert_eq!(at(in_body, &[1, 1, 5, 1]), b"#/definitions/T");
    let query = at(in_query, &[1, 2, 3]);
    assert_eq!(at(&query, &[4]), b"dryRun");
    assert!(read(&query).contains(&(20, Read::Number(1))), "items are unique");
    assert_eq!(at(&post, &[9, 1, 2, 1, 2, 1, 1]), b"#/definitions/T");
}
