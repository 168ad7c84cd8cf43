"""Filters over metadata, as in MongoDB: from JSON to an SQL condition that the catalog evaluates.

`{"album": "Norway", "year": {"$gte": 2020}, "$or": [{"tags": "sea"}, {"place.country": {"$in": ["NO", "SE"]}}]}`

- A path goes through objects by their fields, and through arrays into each of their elements that is an object, or by
  number: `tags.0`.
- A value matches if it, or one of its elements if it is an array, is what is asked for. `null` also matches what is
  missing. Objects are equal whatever the order of their fields.
- `$gt`, `$gte`, `$lt`, `$lte` compare numbers with numbers, strings with strings, by code point, and booleans with
  booleans; whatever is of another type does not match.
- `$ne`, `$nin` and `$not` are the opposites of `$eq`, `$in` and of what is in `$not`: they match what is missing.
"""

from app.filters.parse import parse_filter, read_filter

__all__ = ["parse_filter", "read_filter"]
