package server

// maxCache is as much as an image's cache of decoded blocks gains from, in bytes.
const maxCache = 32 << 20

// cacheBytes returns the size of the block cache of each of some images: together they
// take no more than a 32nd of the memory that the job may use, 0 being unknown. The cache
// counts against the job's limit, and what the kernel keeps of files does better work there.
func cacheBytes(memory int64, images int) int64 {
	if memory <= 0 {
		return maxCache
	}
	return max(1, min(maxCache, memory/32/int64(max(images, 1))))
}
