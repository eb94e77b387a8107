"""Validates the JSON documents on standard input, a list, against its first element, a schema.

Prints a JSON list with a list of errors for each document.
"""

import json
import sys

from jsonschema import validators

schema, *documents = json.load(sys.stdin)
validator = validators.validator_for(schema)
validator.check_schema(schema)
print(json.dumps([[str(error) for error in validator(schema).iter_errors(document)] for document in documents]))
