"""Prints what is wrong with each JSON document on standard input by the schema that comes first: a JSON list of texts each."""

import json
import sys

from jsonschema import validators

schema, *documents = json.load(sys.stdin)
validator = validators.validator_for(schema)
validator.check_schema(schema)
print(json.dumps([[str(error) for error in validator(schema).iter_errors(document)] for document in documents]))
