package location

// configured chooses among the directories for layers that a configuration names. That the choice is the same the next time is seen by
// what is in it. They are as good as one that --layers names: who wrote the configuration, root or the caller, answers for what is above.
func configured(data string, roots []string) (Dirs, error) {
	for _, dir := range roots {
		if holdsLayers(dir) && accept(dir) == nil {
			return Dirs{Data: data, Layers: dir}, nil
		}
	}
	failure := &NoLayerRootError{}
	for _, dir := range roots {
		err := accept(dir)
		if err == nil {
			return Dirs{Data: data, Layers: dir}, nil
		}
		failure.Tried = append(failure.Tried, err)
	}
	return Dirs{}, failure
}
