"""The laws a session keeps, as seen from outside: each rule judges only the events that went in and the effects that came out."""
