package maven
import ("net/url";"context";"millpond/format")
func adopt(context.Context, format.Machine) ([]format.Adopted, error) { return nil,nil }
func settingsFor(*url.URL, string) string { return "" }
func initScript(*url.URL) string { return "" }
