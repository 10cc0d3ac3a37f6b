using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;
using Microsoft.AspNetCore.Components.Web;

namespace Market;

/// <summary>The frame of every page that is rendered on the server, as the compiler would write it.</summary>
public sealed class Page : ComponentBase
{
    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        builder.AddMarkupContent(0, "<!DOCTYPE html>");
        builder.OpenElement(1, "body");
        builder.OpenComponent<Microsoft.AspNetCore.Components.Routing.Router>(2);
        builder.AddAttribute(3, "AppAssembly", typeof(Page).Assembly);
        builder.AddAttribute(4, "Found", (RenderFragment<Microsoft.AspNetCore.Components.RouteData>)(route => inner =>
        {
            inner.OpenComponent<RouteView>(0);
            inner.AddAttribute(1, "RouteData", route);
            inner.CloseComponent();
        }));
        builder.CloseComponent();
        builder.CloseElement();
    }
}

[Route("/page/{Name}")]
public sealed class Greeting : ComponentBase
{
    [Parameter]
    public string? Name { get; set; }

    [SupplyParameterFromQuery]
    public int Times { get; set; }

    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        builder.OpenElement(0, "h1");
        builder.AddContent(1, $"Hello {Name} <{Times}>");
        builder.CloseElement();
    }
}

/// <summary>Comes in two parts: what is there at once, and what follows.</summary>
[Route("/page/slow")]
[StreamRendering]
public sealed class Slow : ComponentBase
{
    private string _text = "waiting";

    protected override async Task OnInitializedAsync()
    {
        await Task.Delay(50);
        _text = "there";
    }

    protected override void BuildRenderTree(RenderTreeBuilder builder) => builder.AddMarkupContent(0, $"<p>{_text}</p>");
}

[Route("/page/away")]
public sealed class Away : ComponentBase
{
    [Inject]
    public NavigationManager Navigation { get; set; } = null!;

    protected override void OnInitialized() => Navigation.NavigateTo("/page/home");
}

[Route("/page/broken")]
public sealed class Broken : ComponentBase
{
    protected override void OnInitialized() => throw new InvalidOperationException("in a page");
}
