fn main() {} // the only file
