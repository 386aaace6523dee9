package bind

// A Spec is one bind that a user asks for.
type Spec struct {
	Source   string // absolute host path, or a path inside ImageSrc's image
	Target   string // absolute path in the container
	ReadOnly bool
	ImageSrc string // option image-src: the path inside the image file Source; "" an ordinary bind
	ID       string // option id: the SIF partition; "" the primary one
	Why      string // "--bind", "--mount", or the environment key it comes from
}
