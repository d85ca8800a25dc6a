int spork_empty;
