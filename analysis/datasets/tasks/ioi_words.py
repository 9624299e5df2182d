"""What the prompts of indirect object identification are made of. Written for Loupe."""

from __future__ import annotations

# {A} and {B} are the two names in the order in which they first come, {S} is the one that comes again.
TEMPLATES = (
    "When {A} and {B} walked into the {place}, {S} gave a {thing} to",
    "When {A} and {B} met near the {place}, {S} handed a {thing} to",
    "After {A} and {B} had left the {place}, {S} sent a {thing} to",
    "After {A} and {B} spent the day at the {place}, {S} offered a {thing} to",
    "While {A} and {B} waited outside the {place}, {S} passed a {thing} to",
    "While {A} and {B} were cleaning the {place}, {S} threw a {thing} to",
    "Then {A} and {B} came back from the {place}, and {S} brought a {thing} to",
    "Then {A} and {B} talked for hours at the {place}, until {S} lent a {thing} to",
    "Yesterday {A} and {B} got lost behind the {place}, so {S} gave a {thing} to",
    "Last week {A} and {B} opened the {place} together, and {S} showed a {thing} to",
    "As soon as {A} and {B} reached the {place}, {S} sold a {thing} to",
    "Because {A} and {B} both worked at the {place}, {S} often lent a {thing} to",
    "Before {A} and {B} closed the {place}, {S} returned a {thing} to",
    "Once {A} and {B} were alone in the {place}, {S} promised a {thing} to",
    "Though {A} and {B} rarely visited the {place}, {S} took a {thing} to",
)

NAMES = (
    *("Adam", "Alan", "Alex", "Alice", "Amy", "Andrew", "Anna", "Anthony", "Arthur", "Ben", "Bob", "Brian"),
    *("Carl", "Charles", "Chris", "Christine", "Daniel", "David", "Edward", "Elizabeth", "Emily", "Emma", "Eric"),
    *("Frank", "George", "Grace", "Harry", "Helen", "Henry", "Ian", "Jack", "James", "Jane", "Jason", "Jennifer"),
    *("Jim", "Joe", "John", "Joseph", "Julia", "Kate", "Kevin", "Laura", "Lisa", "Louis", "Lucy", "Maria", "Mark"),
    *("Martin", "Mary", "Matthew", "Michael", "Michelle", "Nick", "Patrick", "Paul", "Peter", "Rachel", "Richard"),
    *("Robert", "Rose", "Ryan", "Sam", "Sarah", "Scott", "Simon", "Stephen", "Steven", "Susan", "Thomas", "Tim"),
    *("Tom", "Victoria", "William"),
)
PLACES = (
    *("store", "park", "school", "office", "garden", "station", "library", "museum", "theatre", "market"),
    *("restaurant", "hospital", "church", "beach", "farm", "kitchen", "workshop", "hotel", "stadium", "bakery"),
)
THINGS = (
    *("book", "ring", "drink", "letter", "flower", "ticket", "key", "map", "watch", "basket"),
    *("camera", "coat", "lamp", "cake", "bottle", "knife", "pencil", "ball", "picture", "box"),
)
