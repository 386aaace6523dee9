// Command coracle runs container images on shared clusters as an ordinary user.
package main

func main() {}
