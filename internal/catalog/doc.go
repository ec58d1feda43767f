// Package catalog knows what users call images by, and what that means: an image of the store, a reference in a registry, or
// an archive. All commands find images through it, so that one name means one thing, and runs fetch through it what is not stored ([Fetch]).
package catalog
