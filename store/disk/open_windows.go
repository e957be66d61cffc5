package disk

const nonblocking = 0
